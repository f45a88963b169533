"""A running service driven hard: how much it answers, how soon, and how it refuses what is too much (`make load`)."""

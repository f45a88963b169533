"""Which item each machine makes next, period by period, before demand is known."""

"""Optima and lower bounds that need no training: exact methods and relaxations of networks that fit them."""

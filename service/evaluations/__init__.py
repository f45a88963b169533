"""Evaluations: policies and rules compared on one instance, on common random numbers."""

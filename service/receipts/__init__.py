"""Receipts: what a policy can be made again from, and what doing so showed."""

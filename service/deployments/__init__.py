"""Deployments: which version of a policy is in use for what."""

"""Policies: trained versions of a name, their cards and certificates."""

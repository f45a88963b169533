"""Demand of the items: processes as documents, their exact distributions, fast sampling."""

"""The problems Herenow knows and the solvers that serve them: read from the registries, never stored."""

"""Floor 2: the product. API, jobs, storage and command line; no algorithm and no problem by name."""

"""Floor 1: the algorithms. How policies are found, judged and stored; no problem by name and no service."""

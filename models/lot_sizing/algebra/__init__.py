"""One period of a plant in Pyomo algebra: its machines, its stock, and both as a compiled program."""

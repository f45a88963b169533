"""Classical rules for lot sizing."""

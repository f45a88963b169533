"""What customers ask for: processes as documents, how they are drawn, what of the past is remembered."""

"""Jobs: what is asked, who runs it, what became of it."""

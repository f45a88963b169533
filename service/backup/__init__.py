"""The service's memory in one file: rows and artifacts, written while it runs, verified and read back."""

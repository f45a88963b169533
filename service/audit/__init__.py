"""The audit log: who changed what, written with the change and never changed itself."""

"""API keys: who may use the service and for what."""

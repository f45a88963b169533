"""The API's resources: every operation as a method, written once for `Client` and `AsyncClient`."""

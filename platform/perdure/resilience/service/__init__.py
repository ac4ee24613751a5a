"""A service and what protects the calls to it."""

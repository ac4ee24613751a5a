"""Patterns that keep a service working while what it depends on does not. Each is usable alone."""

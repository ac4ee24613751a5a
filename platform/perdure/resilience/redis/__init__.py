"""The Redis that all processes share their state over."""

"""The supervisor and its duties."""

"""Retries of one call in place."""

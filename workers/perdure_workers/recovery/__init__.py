"""Leases, and what happens to the jobs of processes that are gone."""

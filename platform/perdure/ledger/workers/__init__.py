"""Statements on workers, whose rows are the leases of what they run."""

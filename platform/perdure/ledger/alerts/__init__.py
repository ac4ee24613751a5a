"""Alerts in the ledger: what is open, who is told, and the counts that rules look at."""

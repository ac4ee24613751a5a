"""Backups: one archive of ledger, blobs and checkpoints, how it is checked, and how it is put back."""

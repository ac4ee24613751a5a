"""A ledger at one moment in files, and back: SQLite by its online backup, PostgreSQL by COPY."""

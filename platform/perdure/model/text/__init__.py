"""Texts of others, made fit for where they go: the ledger, a terminal, a log, a page."""

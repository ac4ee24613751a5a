"""Statements on jobs: submit, claim, settle, cancel, read, prune."""

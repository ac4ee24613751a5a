"""Statements on periodic jobs."""

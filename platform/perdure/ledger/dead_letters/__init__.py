"""Statements on dead letters."""

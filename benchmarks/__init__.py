"""Benchmarks: ``make bench`` runs them all; each prints what it measured and how it compares."""

"""Notifiers: how people and their systems are told of alerts."""

"""Drills: an accident on a platform of its own, what an operator does about it, and how long that took."""

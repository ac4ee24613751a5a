"""Bells, and the Celery application that carries them."""

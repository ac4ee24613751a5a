"""What workers load, ``perdure up -A worker``: Django first, then the jobs, which import its models."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from shop.jobs import app  # noqa: E402

__all__ = ["app"]

"""Logging of the platform's processes: one line an event, to standard error."""

from __future__ import annotations

import logging
import os


def configure_logging() -> None:
    """Log to standard error at ``PERDURE_LOG_LEVEL`` (default INFO)."""
    level = os.environ.get("PERDURE_LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)

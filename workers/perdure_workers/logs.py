"""Logging of the platform's processes: one line an event, to standard error."""

from __future__ import annotations

import logging


def configure_logging(level: str) -> None:
    """Log to standard error.

    Args:
        level: The least important level that is logged, such as ``INFO``.
    """
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)

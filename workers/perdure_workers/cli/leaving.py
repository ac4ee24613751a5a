"""Leaving a long-lived process."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn


def leave(exit_code: int) -> NoReturn:
    """End this process, in which all is closed: to take its interpreter apart would take half a second of the processor."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)

"""Secrets by name: a job carries the name, and the worker's environment has the value.

A job's arguments stand in the ledger, in Flower and in dead letters, where a password has no place.
"""

from __future__ import annotations

import os
import re

from perdure import Discard

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def from_environment(prefix: str, name: str) -> str:
    """Return the value of the environment variable ``<prefix><NAME>``.

    Args:
        prefix: First part of the variable's name; it bounds what a job can read of the environment.
        name: Its last part, in any case; ``-`` is read as ``_``.

    Raises:
        Discard: The name is malformed or this worker's environment lacks it; replay the job when it is there.
    """
    if not _NAME.fullmatch(name):
        raise Discard(f"{name!r:.80} is no name of a secret: use letters, digits, '_' and '-'.")
    variable = prefix + name.upper().replace("-", "_")
    value = os.environ.get(variable, "").strip()
    if not value:
        raise Discard(f"the worker's environment has no {variable}. Set it where the workers run and replay this job.")
    return value

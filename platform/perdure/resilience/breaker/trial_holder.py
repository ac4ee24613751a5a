"""Who holds a trial permit, so that it can be given back at once when its holder is known to be dead.

with trials_held_by("job-1:7"):        # what runs in here, in any depth, with any breaker
    ...
breakers.free("job-1:7")               # elsewhere, when that process died
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import quote

_holder: ContextVar[str] = ContextVar("perdure-trial-holder", default="")


@contextmanager
def trials_held_by(holder: str) -> Iterator[None]:
    """Note ``holder`` with each trial permit that any breaker gives out in here."""
    before = _holder.set(quoted(holder))
    try:
        yield
    finally:
        _holder.reset(before)


def new_token() -> str:
    """Return a token for a permit: random, with its holder behind an @ when there is one."""
    token, holder = secrets.token_hex(8), _holder.get()
    return f"{token}@{holder}" if holder else token


def quoted(holder: str) -> str:
    """Return a holder as it stands in a token, where ``: , @`` have a meaning."""
    return quote(holder, safe="")

"""URLs as they may be printed."""

from __future__ import annotations

import re

#: Greedy on purpose: a password may hold any character that its writer forgot to quote.
_PASSWORD = re.compile(r"(?<=//)([^/:@]*):.*@")
_QUERY_PASSWORD = re.compile(r"([?&][a-z_]*(?:password|secret|token)=)[^&]*", re.IGNORECASE)
_NEXT_URL = re.compile(r";(?=\w+://)")  # kombu's list of alternatives


def masked_url(url: str) -> str:
    """Return a URL that may be printed: its passwords are replaced by ``***``, also in a list of URLs and in queries."""
    parts = (_QUERY_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"\1:***@", part)) for part in _NEXT_URL.split(url))
    return ";".join(parts)

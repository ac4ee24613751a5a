"""What can go wrong when somebody is told."""

from __future__ import annotations

from perdure.errors import PerdureError


class NotSent(PerdureError):
    """A notifier did not take a message; its text holds no secret. It is tried again."""

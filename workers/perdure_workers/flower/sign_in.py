"""Signing in: whose password it is, told in constant time; and who guesses is made to wait."""

from __future__ import annotations

import hmac
import logging
import time
from base64 import b64decode
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

logger = logging.getLogger("perdure.flower")

#: Wrong passwords from one address within so many seconds after which it has to wait for the oldest to be forgotten.
MOST_FAILURES, WINDOW = 10, 60.0
#: Addresses that are remembered; the longest silent one is forgotten for a new one.
MOST_ADDRESSES = 10_000


class SignIn:
    """Knows who may sign in, and how often an address has tried.

    Args:
        credentials: ``user:password`` of everybody.
        clock: Seconds that only grow.
    """

    def __init__(self, credentials: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = [text.encode() for text in credentials]
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def user(self, authorization: str | None) -> str | None:
        """Return the user whom a header names with the right password; None for every other header, odd bytes included."""
        given = _given(authorization)
        if given is None:
            return None
        # All are compared, so that the time does not tell which user there is.
        right = [hmac.compare_digest(stored, given) for stored in self._credentials]
        return given.partition(b":")[0].decode("utf-8", "replace") if any(right) else None

    def wait(self, address: str) -> float:
        """Return the seconds for which passwords from an address are not looked at; 0 when they are."""
        failures = self._failures.get(address, deque())
        return max(0.0, failures[0] + WINDOW - self._clock()) if len(failures) >= MOST_FAILURES else 0.0

    def failed(self, address: str, authorization: str) -> None:
        """Remember a wrong password, and log it: who was named, from where, and never the password."""
        failures = self._failures.setdefault(address, deque(maxlen=MOST_FAILURES))
        failures.append(self._clock())
        self._failures.move_to_end(address)
        if len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)
        given = _given(authorization)
        named = "nobody" if given is None else repr(given.partition(b":")[0].decode("utf-8", "replace")[:64])
        logger.warning("sign-in of %s from %s failed", named, address)


def _given(authorization: str | None) -> bytes | None:
    parts = (authorization or "").split()  # as Flower splits it
    if len(parts) != 2 or parts[0] != "Basic":
        return None
    try:
        return b64decode(parts[1])
    except ValueError:
        return None

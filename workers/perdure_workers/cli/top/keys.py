"""Keys of a terminal, read one by one while the screen goes on."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

#: What terminals send for keys that are no characters (xterm, in both of its modes), and control characters.
_NAMED = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b": "escape", "\r": "enter", "\n": "enter",
    "\t": "tab", "\x1b[Z": "back-tab", "\x7f": "delete", "\x08": "delete", "\x04": "end",
}  # fmt: skip
_KEY = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
#: Bytes that are read at once: what somebody types in a moment.
_CHUNK = 256


def keys_in(typed: str) -> list[str]:
    """Return the keys that a terminal's characters stand for; sequences that nobody knows are left out."""
    found = [_NAMED.get(one, one) for one in _KEY.findall(typed)]
    return [key for key in found if not key.startswith("\x1b")]


@contextmanager
def typed_keys() -> Iterator[Callable[[float], Sequence[str]]]:
    """Read keys without waiting for the end of a line; yields what returns those typed within so many seconds.

    Without a terminal there are none, and the time is waited for.
    """
    number = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    if number is None:
        yield _no_keys
        return
    before = termios.tcgetattr(number)
    tty.setcbreak(number)

    def read(seconds: float) -> Sequence[str]:
        if not select.select([number], [], [], seconds)[0]:
            return []
        typed = os.read(number, _CHUNK)
        return keys_in(typed.decode("utf-8", "ignore")) if typed else ["end"]

    try:
        yield read
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _no_keys(seconds: float) -> Sequence[str]:
    select.select([], [], [], seconds)
    return []

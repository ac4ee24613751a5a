"""Work that goes on while its caller prepares more of it: a database writes one chunk while the next one is encoded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

R = TypeVar("R")


class Alongside(Generic[R]):
    """Does one piece of work after the other in a thread, in the context of whoever begins it.

    It is a context, which ends when the last piece has: then nothing goes on any more. The error of a piece is raised by
    what comes next, :meth:`begin` or the context's end, and no piece is begun after it.

    Attributes:
        done: What the pieces have returned that have ended, in their order.
    """

    def __init__(self) -> None:
        self.done: list[R] = []
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def begin(self, work: Callable[[], R]) -> None:
        """Begin a piece of work, as soon as the one before has ended."""
        self.end()
        self._thread = threading.Thread(target=copy_context().run, args=(self._do, work), name="perdure-alongside")
        self._thread.start()

    def end(self) -> None:
        """Wait until the piece of work that is under way, if any, has ended; raise its error."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _do(self, work: Callable[[], R]) -> None:
        try:
            self.done.append(work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller's thread is told
            self._error = error

    def __enter__(self) -> Alongside[R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

"""``with inject(...)``: a fault for the length of a block, for tests."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from perdure.faults.faults import Faults, of_this_process
from perdure.model.faults.fault import Fault
from perdure.resilience.redis.link import SharedStateUnavailable


class inject:  # noqa: N801 - used as the verb that it is
    """Inject a fault while a block runs: ``with faults.inject("latency", "service:mail", delay=0.2):``, or ``async with``.

    It ends with the block, or by itself when its time is over.

    Args:
        kind: What it does; see :meth:`~perdure.faults.faults.Faults.add`.
        target: To what.
        everywhere: Whether it acts in all processes, as with workers under test, and not in this one alone.
        options: Those of :meth:`~perdure.faults.faults.Faults.add`.

    Raises:
        FaultsNotAllowed: No application that allows faults has been made in this process.
        InvalidFault: It cannot be; the message says what can.
    """

    def __init__(self, kind: str, target: str, *, everywhere: bool = False, **options: Any) -> None:
        self._faults: Faults = of_this_process()
        self._add = self._faults.add if everywhere else self._faults.add_here
        self._what, self._options = (kind, target), options
        self._fault: Fault | None = None

    def __enter__(self) -> Fault:
        self._fault = self._add(*self._what, **self._options)
        return self._fault

    def __exit__(self, *_: object) -> None:
        if self._fault is not None:
            with suppress(SharedStateUnavailable):  # it ends by itself
                self._faults.end(self._fault)

    async def __aenter__(self) -> Fault:
        return self.__enter__()

    async def __aexit__(self, *how: Any) -> None:
        self.__exit__(*how)

"""The thread that renews this process's permits."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Generic, TypeVar

from perdure.system.fork_locks import fork_lock

Permit = TypeVar("Permit")


class LeaseKeeper(Generic[Permit]):
    """Renews permits every ``period`` seconds from one daemon thread, which lives while there is something to renew.

    A fork starts with nothing: what the parent holds the parent renews.

    Args:
        period: seconds between renewals; a third of the lease leaves room for two that fail.
        renew: prolongs the tokens of a key and returns those that were lost.
        lose: told of each permit that was lost.
    """

    def __init__(
        self,
        period: float,
        renew: Callable[[str, list[str]], list[str]],
        lose: Callable[[str, Permit], None],
    ) -> None:
        self._period, self._renew, self._lose = period, renew, lose
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = fork_lock()
        self._wake = threading.Event()
        self._held: dict[str, dict[str, Permit]] = defaultdict(dict)
        self._running = False

    def add(self, key: str, token: str, permit: Permit) -> None:
        """Renew this permit from now on."""
        if self._pid != os.getpid():
            self._reset()
        with self._lock:
            self._held[key][token] = permit
            if not self._running:
                self._running = True
                self._wake = threading.Event()
                threading.Thread(target=self._run, args=(self._wake,), name="perdure-leases", daemon=True).start()

    def remove(self, key: str, token: str) -> None:
        """Renew it no longer."""
        with self._lock:
            self._held[key].pop(token, None)
            if not self._held[key]:
                del self._held[key]

    def count(self, key: str) -> int:
        """Return how many permits of ``key`` are renewed here."""
        with self._lock:
            return len(self._held.get(key, ()))

    def _run(self, wake: threading.Event) -> None:
        while not wake.wait(self._period):
            with self._lock:
                held = {key: dict(permits) for key, permits in self._held.items()}
                if not held:
                    self._running = False
                    return
            for key, permits in held.items():
                self._renew_key(key, permits)

    def _renew_key(self, key: str, permits: dict[str, Permit]) -> None:
        for token in self._renew(key, list(permits)):
            with self._lock:
                still_held = self._held.get(key, {}).pop(token, None)
            if still_held is not None:
                self._lose(key, still_held)

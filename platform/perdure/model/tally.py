"""What a process counts until it writes it to the ledger: services called, checkpoints saved, duties done."""

from __future__ import annotations

from collections.abc import Callable

from perdure.model.metrics import NO_BUCKET, Count, Metric
from perdure.system.fork_locks import fork_lock


class Tally:
    """Counts and sums by series. Thread-safe; cheap enough for each call of a service.

    A process that nobody empties (a web application's, a script's) keeps one entry for each series and no more.
    """

    def __init__(self) -> None:
        self._lock = fork_lock()
        self._counts: dict[tuple[str, tuple[str, ...], int], tuple[int, float]] = {}
        #: Called when there is something again after nothing.
        self.on_some: Callable[[], object] = lambda: None

    def add(self, metric: Metric, *labels: str) -> None:
        """Count one thing."""
        self._add(metric.name, labels, NO_BUCKET, 0.0)

    def observe(self, value: float, metric: Metric, *labels: str) -> None:
        """Count a value of a histogram, in the metric's unit: seconds or bytes."""
        self._add(metric.name, labels, metric.place(value), value)

    def take(self) -> list[Count]:
        """Return what was counted, and count from zero again."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return [Count(name, labels, count, total, place) for (name, labels, place), (count, total) in counts.items()]

    def give_back(self, counts: list[Count]) -> None:
        """Add what was taken and could not be written."""
        for one in counts:
            self._add(one.name, one.labels, one.place, one.sum, one.count)

    def _add(self, name: str, labels: tuple[str, ...], place: int, value: float, count: int = 1) -> None:
        key = name, labels, place
        with self._lock:
            is_first = not self._counts
            before, total = self._counts.get(key, (0, 0.0))
            self._counts[key] = (before + count, total + value)
        if is_first:
            self.on_some()

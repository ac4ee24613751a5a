"""How long a task's jobs are expected to take, by how long the last ones did."""

from __future__ import annotations

#: How much a task's newest duration counts in the average.
NEWEST = 0.3


class Expected:
    """What one child has seen of each task."""

    def __init__(self) -> None:
        self._average: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._before: dict[str, float] = {}

    def __call__(self, task: str) -> float:
        """Return the seconds that a task's next job takes, about; 0 where none has run yet."""
        return self._average.get(task, 0.0)

    def nearly(self, task: str, by: float) -> float | None:
        """Return the seconds that the last two jobs took, about; None where they differ by more than ``by`` seconds."""
        last, before = self._last.get(task), self._before.get(task)
        if last is None or before is None or abs(last - before) > by:
            return None
        return (last + before) / 2

    def learn(self, task: str, took: float) -> None:
        """Take note of how many seconds a job of a task took."""
        average = self._average.get(task, took)
        self._average[task] = average + NEWEST * (took - average)
        if task in self._last:
            self._before[task] = self._last[task]
        self._last[task] = took

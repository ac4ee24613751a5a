"""A supervisor runs its duties side by side; one that fails stops no other, and each run is measured."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar, cast

import pytest

from perdure.errors import LedgerUnavailable
from perdure.model.metrics import DUTY
from perdure.model.tally import Tally
from perdure_workers.supervisor.duties.duty import Duty
from perdure_workers.supervisor.supervisor import Supervisor
from support.waiting import wait_until


class Counting(Duty):
    name: ClassVar[str] = "counting"
    period = 0.01  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(cast(Any, None))
        self.runs = 0

    def run_once(self) -> int:
        self.runs += 1
        return 0


class Failing(Counting):
    name: ClassVar[str] = "failing"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def run_once(self) -> int:
        super().run_once()
        raise self.error


class Busy(Counting):
    name: ClassVar[str] = "busy"
    period = 3600.0  # type: ignore[assignment]

    def run_once(self) -> int:
        super().run_once()
        return int(self.runs < 4)


def runs(tally: Tally) -> dict[tuple[str, ...], int]:
    """How often each duty was run, by its outcome."""
    found: Counter[tuple[str, ...]] = Counter()
    for one in tally.take():
        assert one.name == DUTY.name
        found[one.labels] += one.count
    return dict(found)


@pytest.mark.parametrize("error", [ValueError("broken"), LedgerUnavailable("away")], ids=["broken", "ledger away"])
def test_a_duty_that_fails_is_tried_again_and_stops_no_other(error: Any) -> None:
    good, bad = Counting(), Failing(error)
    tally = Tally()
    supervisor = Supervisor([bad, good], tally)
    supervisor.start()
    try:
        wait_until(lambda: good.runs > 2 and bad.runs > 2, timeout=30)
    finally:
        supervisor.stop()
    assert runs(tally) == {("counting", "done"): good.runs, ("failing", "failed"): bad.runs}


def test_a_duty_with_more_to_do_is_run_again_at_once() -> None:
    duty = Busy()
    supervisor = Supervisor([duty], Tally())
    supervisor.start()
    try:
        wait_until(lambda: duty.runs == 4, timeout=30)
    finally:
        supervisor.stop()
    assert duty.runs == 4  # then it waits for its period

"""Error budgets and burn rates, with the numbers of the SRE workbook."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import PerdureError
from perdure.model.alerts.slo import DAY, HOUR, WINDOWS, Count, Slo, burn_rate, burnt_share, state_of

SLO = Slo("checkout", "shop.pay", 30.0, 0.999, 30 * DAY)
FAST, MEDIUM, SLOW = WINDOWS


@pytest.mark.parametrize(("window", "rate"), [(FAST, 14.4), (MEDIUM, 6.0), (SLOW, 1.0)])
def test_the_thresholds_are_those_of_the_workbook_for_thirty_days(window: Any, rate: float) -> None:
    at = Count(1_000_000 - int(rate * 1000), int(rate * 1000))
    assert burn_rate(SLO, at) == pytest.approx(rate)
    assert burnt_share(SLO, window, at, at) == pytest.approx(window.share)
    assert window.short == window.long / 12


def test_what_burned_and_burns_no_more_is_no_alert() -> None:
    assert burnt_share(SLO, FAST, Count(900, 100), Count(100, 0)) == 0
    assert burnt_share(SLO, FAST, Count(900, 100), Count()) == 0


def test_a_short_objective_is_used_up_sooner() -> None:
    week = Slo("week", "t", None, 0.99, 7 * DAY)
    assert burnt_share(week, FAST, Count(90, 10), Count(90, 10)) == pytest.approx(10 * HOUR / (7 * DAY))


@pytest.mark.parametrize(
    ("count", "attained", "left"), [(Count(), 1.0, 1.0), (Count(9995, 5), 0.9995, 0.5), (Count(998, 2), 0.998, -1.0)]
)
def test_what_is_left_of_the_budget(count: Count, attained: float, left: float) -> None:
    state = state_of(SLO, count, Count())
    assert (state.attained, state.budget_left) == pytest.approx((attained, left))
    assert state.burn == 0


@pytest.mark.parametrize("changes", [{"target": 1.0}, {"target": 0.0}, {"within": 0.0}, {"window": 60.0}])
def test_what_is_no_objective(changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"name": "s", "task": "t", "within": None, "target": 0.9, "window": DAY}
    with pytest.raises(PerdureError, match=next(iter(changes))):
        Slo(**given | changes)

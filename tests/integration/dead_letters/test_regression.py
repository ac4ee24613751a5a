"""A fault that was dealt with and comes back with another release of the application has regressed."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import Perdure
from perdure.model.dead_letter import DeadLetterGroup
from perdure.model.dead_letter_notices import DeadLetterNotice, NoticeKind
from perdure_workers.supervisor.duties.notice import Notice

Deal = Any


def run_release(app: Perdure, release: str | None) -> None:
    """Go on as another release of the application."""
    app.ledger._work.__dict__["release"] = release


def fault(app: Perdure) -> DeadLetterGroup:
    [group] = app.dead_letters.groups()
    return group


def replay(app: Perdure, letter: str) -> None:
    app.dead_letters.replay(letter, by="ann")


def discard(app: Perdure, letter: str) -> None:
    app.dead_letters.discard(letter, reason="mended", by="ann")


def note(app: Perdure, letter: str) -> None:
    app.dead_letters.note_group(app.dead_letters.get(letter).fingerprint, "mended in 2.0", by="ann")


@pytest.mark.parametrize("deal_with", [replay, discard, note], ids=lambda deal: deal.__name__)
def test_it_comes_back_with_another_release(shop: Perdure, die: Deal, deal_with: Any) -> None:
    told: list[DeadLetterNotice] = []
    shop.dead_letters.on_regression(told.append)
    run_release(shop, "1.0")
    letter = die()
    assert (fault(shop).resolved_at, fault(shop).regressed_at) == (None, None)
    deal_with(shop, letter)
    assert fault(shop).resolved_in == "1.0"

    die()  # the same release, as long as the mended one is not deployed
    assert (fault(shop).regressions, fault(shop).regressed_at) == (0, None)
    run_release(shop, "2.0")
    die()
    back = fault(shop)
    assert (back.regressions, back.regressed_in, back.resolved_at) == (1, "2.0", None)
    assert back.regressed_at == back.last_seen
    shop.alerts.look(always=True)
    assert [alert.phase for alert in shop.alerts.list(rule="dead_letter_group_regressed")] == ["firing"]
    die()
    assert fault(shop).regressions == 1  # it is back, and goes on

    Notice(shop).run_once()
    [notice] = told
    assert notice.kind is NoticeKind.REGRESSION
    assert "came back with release 2.0" in str(notice)
    Notice(shop).run_once()
    assert len(told) == 1
    shop.dead_letters.discard_many("mended again")
    shop.alerts.look(always=True)
    assert [alert.phase for alert in shop.alerts.list(rule="dead_letter_group_regressed")] == ["resolved"]


def test_it_is_over_when_it_is_dealt_with_again(shop: Perdure, die: Deal) -> None:
    run_release(shop, "1.0")
    replay(shop, die())
    run_release(shop, "2.0")
    first, second = die(), die()
    discard(shop, first)
    assert fault(shop).regressed_in == "2.0"  # one of its letters waits
    discard(shop, second)
    assert (fault(shop).regressed_at, fault(shop).resolved_in, fault(shop).regressions) == (None, "2.0", 1)
    run_release(shop, "3.0")
    die()
    assert (fault(shop).regressed_in, fault(shop).regressions) == ("3.0", 2)


@pytest.mark.parametrize(("before", "after"), [("1.0", None), (None, "2.0"), (None, None)])
def test_where_a_release_is_not_known_nothing_regresses(
    shop: Perdure, die: Deal, before: str | None, after: str | None
) -> None:
    run_release(shop, before)
    replay(shop, die())
    run_release(shop, after)
    die()
    assert fault(shop).regressions == 0

"""What is told of a fault: that it is new, that it grew, that replays died again; each once."""

from __future__ import annotations

import pytest

from perdure.model.dead_letter import DeadLetterGroup
from perdure.model.dead_letter_notices import DeadLetterNotice, NoticeKind, Notices, notices_of


def group(seen: int, boomerangs: int = 0) -> DeadLetterGroup:
    counts = {"count": seen, "open": seen, "replayed": 0, "discarded": 0, "seen": seen, "boomerangs": boomerangs}
    times = dict.fromkeys(("first_seen", "last_seen", "note", "noted_by", "noted_at"))
    return DeadLetterGroup("f", "shop.charge", "exhausted", "ValueError", "no", **counts, **times)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "boomerangs", "seen_before", "boomerangs_before", "kinds"),
    [
        (1, 0, 0, 0, ["new_group"]),
        (500, 0, 0, 0, ["new_group"]),
        (2, 0, 1, 0, []),
        (9, 0, 1, 0, []),
        (10, 0, 1, 0, ["growth"]),
        (19, 0, 10, 0, []),
        (20, 0, 10, 0, ["growth"]),
        (11, 1, 10, 0, ["boomerang"]),
        (11, 1, 10, 1, []),
        (20, 3, 10, 1, ["growth", "boomerang"]),
        (1, 1, 0, 0, ["new_group", "boomerang"]),
    ],
)
def test_decision(seen: int, boomerangs: int, seen_before: int, boomerangs_before: int, kinds: list[str]) -> None:
    notices = notices_of(group(seen, boomerangs), seen_before, boomerangs_before)
    assert [notice.kind for notice in notices] == kinds


def test_a_subscriber_that_fails_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    told: list[DeadLetterNotice] = []

    def fail(_notice: DeadLetterNotice) -> None:
        raise RuntimeError("broken pager")

    notices.subscribe(fail)
    notices.subscribe(told.append)
    notices.subscribe(told.append, NoticeKind.GROWTH)
    [notice] = notices_of(group(1), 0, 0)
    notices.emit(notice)
    assert told == [notice]
    assert "broken pager" in caplog.text
    assert "perdure dead list --fingerprint f" in caplog.text

"""The judge of the chaos lab finds forged histories guilty, each of what was forged, and a true one of nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from perdure_workers.chaos.checker import judge
from perdure_workers.chaos.history import Effect, History

from .histories import TRUE, effect, submission

Forge = Callable[[History], History]


def but(history: History, **changes: object) -> History:
    return msgspec.structs.replace(history, **changes)


def with_effect(*more: Effect) -> Forge:
    return lambda history: but(history, effects=sorted([*history.effects, *more], key=lambda each: each.at))


def with_report(job: str, **changes: object) -> Forge:
    return lambda h: but(h, reports=[msgspec.structs.replace(r, **changes) if r.job == job else r for r in h.reports])


def without(job: str, what: str) -> Forge:
    return lambda h: but(h, effects=[e for e in h.effects if (e.job, e.what) != (job, what)])


FORGERIES: list[tuple[str, int, Forge]] = [
    ("an accepted job that is lost", 1, lambda h: but(h, reports=h.reports[1:])),
    ("a job that hangs", 1, with_report("j5", state="queued")),
    ("a job that died for nothing", 1, with_report("j5", state="dead")),
    ("success without work", 1, without("j5", "ended")),
    ("two jobs of one submit", 1, lambda h: but(h, reports=[*h.reports, msgspec.structs.replace(h.reports[4], job="j9")])),
    ("success twice", 2, with_report("j1", outcomes={1: "succeeded", 2: "succeeded"}, crashes=0)),
    ("two processes with one fence", 2, with_effect(msgspec.structs.replace(effect("saved", 2.1, number=3), pid=7))),
    ("two runs side by side", 2, lambda h: with_report("j1", outcomes={1: "failed", 2: "succeeded"})(
        with_effect(effect("ended", 2.1))(h))),
    ("a stale fence that saves on", 2, with_effect(effect("saved", 2.05, number=2), effect("saved", 2.15, number=2))),
    ("a row that stands there twice", 3, lambda h: but(h, rows={**h.rows, ("pay-3", 0): 2})),
    ("a row that is missing", 3, lambda h: but(h, rows={("pay-3", 1): 1})),
    ("a step that is forgotten", 4, with_effect(effect("resumed", 2.0, fence=3, number=1))),
    ("a flood that is felt next door", 5, lambda h: but(h, effects=[
        msgspec.structs.replace(e, at=e.at + 2.0) if e.job == "j6" else e for e in h.effects])),
    ("an open breaker that is none", 6, with_effect(effect("refused", 2.1, job="j8", key="march-1"))),
    ("a retry that the platform's fault burned", 7, with_report("j3", outcomes={1: "failed", 2: "succeeded"})),
    ("work that does not go on", 8, lambda h: but(h, submissions=[
        *h.submissions, *(submission(f"late-{n}", f"late-{n}", "chaos.quick", 1.6) for n in range(30))])),
    ("work that nobody submitted", 9, with_effect(effect("started", 2.0, job="evil", key="forged"))),
    ("a job that runs as another", 9, with_effect(effect("started", 2.5, job="j5", key="calm-6"))),
    ("another payload", 10, with_effect(effect("started", 2.5, fence=3, digest="d2"))),
    ("a claim that nobody settles", 11, with_report("j1", outcomes={1: "crashed"})),
    ("a crash that is not counted", 11, with_report("j1", crashes=0)),
    ("a poison pill without end", 11, with_effect(effect("started", 1.8, job="j4", key="poison-4", fence=3))),
]  # fmt: skip


def test_a_true_history_is_innocent() -> None:
    judgements = judge(TRUE)
    assert [breach for each in judgements for breach in each.breaches] == []
    assert [each.number for each in judgements if each.verdict != "held"] == []


@pytest.mark.parametrize(("invariant", "forge"), [each[1:] for each in FORGERIES], ids=[each[0] for each in FORGERIES])
def test_a_forged_history_is_guilty(invariant: int, forge: Forge) -> None:
    guilty = [each.number for each in judge(forge(TRUE)) if each.verdict == "broken"]
    assert invariant in guilty


def test_each_invariant_has_a_forgery() -> None:
    assert {number for _, number, _ in FORGERIES} == {each.number for each in judge(TRUE)}


def test_of_what_was_thrown_away_by_hand_nothing_is_promised() -> None:
    lost = but(TRUE, reports=TRUE.reports[1:], excused=frozenset({"march-1"}))
    assert [each.number for each in judge(lost) if each.verdict == "broken"] == []


def test_an_invariant_without_evidence_is_untested() -> None:
    nothing = History(submissions=[], effects=[], reports=[])
    assert {each.verdict for each in judge(nothing)} == {"untested"}

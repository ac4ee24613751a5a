"""The judge: pure functions over a history, one for each invariant of the platform.

The way is that of Jepsen (Kingsbury, https://jepsen.io): what was accepted, what happened and what was reported are written
down apart from each other, and compared when all is over. A submit that raised may be written or not: both are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Literal

import msgspec

from perdure_workers.chaos.history import FINAL, Effect, History, Reported, Submission
from perdure_workers.chaos.timeline import recoveries, waits

#: ``untested``: nothing in the history bears on it.
Verdict = Literal["held", "broken", "untested"]

#: Outcomes that are the platform's fault, or nobody's.
_PLATFORM = {"crashed", "handed_back", "lease_lost", "snoozed"}
#: Seconds by which a breaker's view may be stale, and by which lines are written late.
_STALENESS = 0.25
#: Seconds in which calls end that were under way when a breaker opened.
_UNDER_WAY_S = 0.5
#: How much a flood next door may slow the calm bulkhead's median down, as a factor and in seconds: noise of a busy host.
_NOISE_FACTOR, _NOISE_S = 3.0, 1.0


class Breach(msgspec.Struct, frozen=True):
    """A promise that was broken.

    Attributes:
        invariant: Its number.
        key: The job's key, if it is about one.
        told: What was found.
    """

    invariant: int
    key: str
    told: str


class Judgement(msgspec.Struct, frozen=True):
    """What came of one invariant.

    Attributes:
        number: Its number.
        text: What it promises.
        verdict: Whether it held.
        looked_at: Pieces of evidence that were judged.
        breaches: Where it was broken.
    """

    number: int
    text: str
    verdict: Verdict
    looked_at: int
    breaches: list[Breach]


class Docket:
    """Takes what a check looks at and finds.

    Args:
        invariant: Whose check it is.
    """

    def __init__(self, invariant: int) -> None:
        self.invariant = invariant
        self.looked_at = 0
        self.breaches: list[Breach] = []

    def expect(self, holds: bool, key: str, told: str) -> None:
        """Judge one piece of evidence."""
        self.looked_at += 1
        if not holds:
            self.breaches.append(Breach(self.invariant, key, told))


def judge(history: History) -> list[Judgement]:
    """Return what came of each invariant."""
    judgements = []
    for number, (text, check) in INVARIANTS.items():
        docket = Docket(number)
        check(history, docket)
        verdict: Verdict = "broken" if docket.breaches else "held" if docket.looked_at else "untested"
        judgements.append(Judgement(number, text, verdict, docket.looked_at, docket.breaches))
    return judgements


def _accepted_ends(history: History, docket: Docket) -> None:
    for submission in history.submissions:
        if submission.key in history.excused:
            continue
        found = history.reports_of.get(submission.key, [])
        if submission.answer == "accepted":
            docket.expect(
                bool(found), submission.key, f"accepted as {submission.job}, and the ledger has no such job: lost"
            )
        docket.expect(len(found) <= 1, submission.key, f"submitted once, and there are {len(found)} jobs of it")
        for report in found:
            docket.expect(report.state in submission.ends, submission.key, _ended_wrongly(submission, report))
            if report.state == "succeeded":
                did = any(effect.what == "ended" for effect in history.effects_of.get(report.job, []))
                docket.expect(did, submission.key, f"{report.job} is reported as succeeded, and its work never happened")


def _ended_wrongly(submission: Submission, report: Reported) -> str:
    how = "stuck in" if report.state not in FINAL else "ended as"
    return f"{report.job} {how} {report.state}, not {' or '.join(submission.ends)}"


def _one_fence_holder(history: History, docket: Docket) -> None:
    outcomes = {report.job: report.outcomes for report in history.reports}
    for job, effects in history.effects_of.items():
        key, known = effects[0].key, outcomes.get(job, {})
        holders = {(effect.fence, effect.pid) for effect in effects}
        docket.expect(len(holders) == len({fence for fence, _ in holders}), key, f"{job}: two processes held one fence")
        ends = list(known.values()).count("succeeded")
        docket.expect(ends <= 1, key, f"{job} is reported as succeeded {ends} times")
        for older, newer in _side_by_side(effects):
            lost = known.get(older, "crashed") in ("crashed", "lease_lost")
            docket.expect(lost, key, f"{job}: fences {older} and {newer} ran side by side, and {older} {known.get(older)}")
        for fence in {effect.fence for effect in effects}:
            # One line may be late: the process was stopped between the commit and the line. The next save has to fail.
            late = [each for each in _after_a_newer(effects, fence) if each.what == "saved"]
            docket.expect(len(late) <= 1, key, f"{job}: fence {fence} saved {len(late)} times after a newer one had begun")


def _side_by_side(effects: list[Effect]) -> Iterator[tuple[int, int]]:
    """Yield the fences of runs of one job of which the newer began before the older had ended."""
    starts = {effect.fence: effect.at for effect in effects if effect.what == "started"}
    ends = {effect.fence: effect.at for effect in effects if effect.what == "ended"}
    for older, end in ends.items():
        for newer, start in starts.items():
            if older < newer and start < end:
                yield older, newer


def _after_a_newer(effects: list[Effect], fence: int) -> list[Effect]:
    newer = min((effect.at for effect in effects if effect.fence > fence), default=None)
    return [] if newer is None else [each for each in effects if each.fence == fence and each.at > newer]


def _exactly_once(history: History, docket: Docket) -> None:
    for (key, number), count in history.rows.items():
        docket.expect(count == 1, key, f"row {number} of its transaction stands there {count} times")
        docket.expect(key in history.submitted, key, f"row {number} is of a job that nobody submitted")
    for report in history.reports:
        if report.task == "chaos.pay" and report.state == "succeeded":
            steps = [number for key, number in history.rows if key == report.key]
            whole = sorted(steps) == list(range(len(steps))) and len(steps) > 0
            docket.expect(whole, report.key, f"{report.job} succeeded with the rows {sorted(steps)}")


def _checkpoints_hold(history: History, docket: Docket) -> None:
    for job, effects in history.effects_of.items():
        for start in (effect for effect in effects if effect.what == "resumed"):
            saved = max((e.number for e in effects if e.what == "saved" and e.fence < start.fence), default=0)
            told = f"{job}: fence {start.fence} began at step {start.number}, and step {saved} had been saved before"
            docket.expect(start.number >= saved, start.key, told)


def _isolated(history: History, docket: Docket) -> None:
    if history.rules.flood is None:
        return
    begin, end = history.rules.flood
    of_calm = [wait for wait in waits(history) if wait.task == history.rules.calm_task]
    before = [wait.seconds for wait in of_calm if wait.at < begin]
    during = [wait.seconds for wait in of_calm if begin <= wait.at <= end]
    if before and during:
        allowed = median(before) * _NOISE_FACTOR + _NOISE_S
        told = f"its median wait was {median(before):.2f} s before the flood next door and {median(during):.2f} s in it"
        docket.expect(median(during) <= allowed, history.rules.calm_task, told)


def _breaker_guards(history: History, docket: Docket) -> None:
    rules = history.rules
    refused = [effect.at for effect in history.effects if effect.what == "refused"]
    opened = refused[rules.opening_calls - 1] + _UNDER_WAY_S if len(refused) >= rules.opening_calls else float("inf")
    trials = [at for at in refused if at > opened]
    for first, after in zip(trials, trials[rules.half_open_permits :], strict=False):
        told = f"more than {rules.half_open_permits} calls within {after - first:.2f} s of the open breaker's period"
        docket.expect(after - first >= rules.recovery_timeout - _STALENESS, "breaker", told)


def _no_retry_burns(history: History, docket: Docket) -> None:
    for report in history.reports:
        if report.key in history.excused:
            continue
        own = {effect.fence for effect in history.effects_of.get(report.job, []) if effect.what in ("raised", "refused")}
        for fence, outcome in report.outcomes.items():
            is_its_own = outcome in _PLATFORM or outcome in ("succeeded", "cancelled") or fence in own
            docket.expect(is_its_own, report.key, f"{report.job}: claim {fence} {outcome}, and its function raised nothing")


def _work_continues(history: History, docket: Docket) -> None:
    for recovery in recoveries(history):
        told = f"after {recovery.fault} work was not back to normal within {history.rules.patience:.0f} s"
        docket.expect(recovery.seconds is not None and recovery.seconds <= history.rules.patience, "", told)


def _only_what_was_submitted(history: History, docket: Docket) -> None:
    jobs = {report.job: report.key for report in history.reports}
    for job, effects in history.effects_of.items():
        for effect in effects:
            told = f"{job} ran as {effect.key!r}, which nobody submitted so"
            is_known = effect.key in history.submitted and jobs.get(job, effect.key) == effect.key
            docket.expect(is_known, effect.key, told)


def _faithful(history: History, docket: Docket) -> None:
    for effect in history.effects:
        sent = history.submitted.get(effect.key)
        if effect.digest is not None and sent is not None:
            docket.expect(effect.digest == sent.digest, effect.key, f"{effect.job} received another payload than was sent")


def _claims_end(history: History, docket: Docket) -> None:
    rules = history.rules
    for report in history.reports:
        if report.key in history.excused:
            continue
        fences = {effect.fence for effect in history.effects_of.get(report.job, [])}
        docket.expect(report.state != "running", report.key, f"{report.job} is held by somebody who does not settle it")
        newest = max(report.outcomes, default=0)
        open_ended = sorted(fence for fence in fences if fence not in report.outcomes and fence > newest)
        told = f"{report.job}: nothing is known of how the claims {open_ended} ended"
        docket.expect(report.state not in FINAL or not open_ended, report.key, told)
        crashed = list(report.outcomes.values()).count("crashed")
        told = f"{report.job} crashed {crashed} times and counts {report.crashes}"
        docket.expect(report.crashes == crashed, report.key, told)
        told = f"{report.job} crashed {crashed} times; {rules.max_crashes} are a dead letter"
        docket.expect(crashed <= rules.max_crashes, report.key, told)
    for submission in history.submissions:
        if submission.task == "chaos.poison" and submission.job is not None:
            runs = sum(effect.what == "started" for effect in history.effects_of.get(submission.job, []))
            handed_back = _uncounted(history, submission.key)
            told = f"{submission.job} brought its process down {runs} times; {rules.max_crashes} are a dead letter"
            docket.expect(runs <= rules.max_crashes + handed_back, submission.key, told)


def _uncounted(history: History, key: str) -> int:
    return sum(o != "crashed" for report in history.reports_of.get(key, []) for o in report.outcomes.values())


#: The invariants by their number, each with what it promises and its check.
INVARIANTS: dict[int, tuple[str, Callable[[History, Docket], None]]] = {
    1: ("Every accepted submit ends in succeeded, dead or cancelled, and as it has to", _accepted_ends),
    2: ("At most one fence holder can write a job's checkpoint or outcome", _one_fence_holder),
    3: ("Effects made in ctx.transaction() happen exactly once", _exactly_once),
    4: ("A job never restarts below its last saved checkpoint", _checkpoints_hold),
    5: ("A flood in one bulkhead does not move another's latency beyond noise", _isolated),
    6: ("An open breaker lets through at most half_open_permits calls per recovery period", _breaker_guards),
    7: ("No retry burns when the platform was at fault", _no_retry_burns),
    8: ("Work continues with nobody's help", _work_continues),
    9: ("What a worker executes was submitted through the ledger", _only_what_was_submitted),
    10: ("What a job receives equals what was submitted", _faithful),
    11: ("Every claim ends in a settlement, a hand-back or a crash that is counted", _claims_end),
}

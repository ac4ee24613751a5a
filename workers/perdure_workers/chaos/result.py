"""What came of one scenario, and of all that were run."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from perdure_workers.chaos.checker import Judgement, Verdict
from perdure_workers.chaos.history import FINAL, Effect, History, Reported, Submission
from perdure_workers.chaos.how import How
from perdure_workers.chaos.platforms import LedgerKind
from perdure_workers.chaos.scenario import Scenario
from perdure_workers.chaos.timeline import Recovery, Second, quantile, recoveries, seconds

#: Jobs whose whole history goes into the report.
MOST_SUSPECTS = 50


class FaultShown(msgspec.Struct, frozen=True):
    """A fault as the report has it; ``at`` and ``lasted`` are seconds, from the run's begin and from the fault's."""

    scenario: str
    fault: str
    at: float
    lasted: float
    told: str


class Suspect(msgspec.Struct, frozen=True):
    """The whole history of a job of which something was found."""

    key: str
    submitted: Submission | None
    did: list[Effect]
    reported: list[Reported]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one scenario.

    Attributes:
        scenario: Its name.
        what: What was done, in one sentence.
        ledger: The kind of the ledger's database.
        seed: What decided.
        duration: Seconds in which the faults happened.
        command: What repeats it.
        counts: Jobs that were accepted, by how they ended.
        judgements: What came of each invariant.
        faults: What was done.
        recoveries: How long it took to recover from each fault.
        seconds: The run second by second.
        servers: The servers' releases.
        suspects: Jobs of which something was found, each with its whole history.
    """

    scenario: str
    what: str
    ledger: LedgerKind
    seed: int
    duration: float
    command: str
    counts: dict[str, int]
    judgements: list[Judgement]
    faults: list[FaultShown]
    recoveries: list[Recovery]
    seconds: list[Second]
    servers: dict[str, str]
    suspects: list[Suspect]

    @property
    def is_held(self) -> bool:
        """Whether no invariant was broken."""
        return all(each.verdict != "broken" for each in self.judgements)


def result_of(scenario: Scenario, how: How, history: History, judgements: list[Judgement]) -> Result:
    """Return what came of a scenario, from its history and what was found."""
    keys = list(dict.fromkeys(breach.key for each in judgements for breach in each.breaches if breach.key))
    return Result(
        scenario=scenario.name,
        what=scenario.what,
        ledger=how.ledger,
        seed=how.seed,
        duration=how.duration,
        command=how.command(scenario.name),
        counts=_counts(history),
        judgements=judgements,
        faults=[
            FaultShown(scenario.name, fault.name, fault.begun - history.begun, fault.ended - fault.begun, fault.told)
            for fault in history.faults
        ],
        recoveries=recoveries(history),
        seconds=seconds(history),
        servers=history.servers,
        suspects=[_suspect(history, key) for key in keys[:MOST_SUSPECTS]],
    )


def document(results: Sequence[Result], seed: int) -> dict[str, Any]:
    """Return the report as ``report.json`` has it.

    The verdict is of all scenarios together: an invariant is broken if one broke it, and held if it was tested in one.
    """
    recovered = [one for result in results for one in result.recoveries]
    times = [one.seconds for one in recovered if one.seconds is not None]
    return {
        "verdict": "held" if all(result.is_held for result in results) else "broken",
        "seed": seed,
        "invariants": {str(number): verdict for number, verdict in together(results).items()},
        "faults": [fault for result in results for fault in result.faults],
        "recovery": {
            "faults": len(recovered),
            "unrecovered": len(recovered) - len(times),
            **{name: quantile(times, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))},
        },
        "versions": versions() | {name: number for result in results for name, number in result.servers.items()},
        "scenarios": list(results),
    }


def together(results: Sequence[Result]) -> dict[int, Verdict]:
    """Return the verdict of each invariant over all scenarios."""
    found: dict[int, set[Verdict]] = {}
    for result in results:
        for each in result.judgements:
            found.setdefault(each.number, set()).add(each.verdict)
    order: tuple[Verdict, ...] = ("broken", "held", "untested")
    return {number: next(verdict for verdict in order if verdict in verdicts) for number, verdicts in found.items()}


def versions() -> dict[str, str]:
    """Return the versions of what was run."""
    packages = ("perdure", "celery", "kombu", "redis", "sqlalchemy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _counts(history: History) -> dict[str, int]:
    states = [report.state for report in history.reports]
    accepted = sum(submission.answer == "accepted" for submission in history.submissions)
    return {
        "accepted": accepted,
        "unknown": len(history.submissions) - accepted,
        **{state: states.count(state) for state in FINAL},
        "unfinished": sum(state not in FINAL for state in states),
        "crashes": sum(report.crashes for report in history.reports),
    }


def _suspect(history: History, key: str) -> Suspect:
    reported = history.reports_of.get(key, [])
    did = [effect for effect in history.effects if effect.key == key]
    return Suspect(key, history.submitted.get(key), did, reported)

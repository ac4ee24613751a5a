"""The lab's reports: one page that needs nothing else, a test case for each invariant, the time of recovery."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec

from perdure_workers.chaos.checker import judge
from perdure_workers.chaos.history import Fault, History
from perdure_workers.chaos.how import How
from perdure_workers.chaos.page import page
from perdure_workers.chaos.report import junit
from perdure_workers.chaos.result import Result, document, result_of
from perdure_workers.chaos.scenario import scenarios
from perdure_workers.chaos.timeline import recoveries, seconds

from .histories import TRUE, effect, reported, submission


def result(history: History) -> Result:
    how = How(20, 7, "sqlite", Path(), "app")
    return result_of(scenarios()["worker-killed"], how, history, judge(history))


def test_a_breach_is_told_everywhere_with_the_history_of_its_job() -> None:
    lost = msgspec.structs.replace(TRUE, reports=TRUE.reports[1:])
    found = result(lost)
    told = document([found, result(TRUE)], 7)

    assert told["verdict"] == "broken"
    assert told["invariants"]["1"] == "broken"
    assert told["invariants"]["3"] == "held"
    assert [suspect.key for suspect in found.suspects] == ["march-1"]
    assert len(found.suspects[0].did) == len([each for each in TRUE.effects if each.key == "march-1"])
    cases = ET.fromstring(junit([found])).findall("testsuite/testcase")
    assert ["failure" in [part.tag for part in case] for case in cases][:2] == [True, False]
    text = page(told, [found])
    assert text.count("<tr><td>1</td>") == 3  # over all scenarios, in this one, and the breach
    assert "redis-server 7.2.0" in text
    assert "lost" in text
    assert "perdure chaos run worker-killed --duration 20 --seed 7 --ledger sqlite" in text
    ET.fromstring(text.partition("<svg")[1] + text.partition("<svg")[2].partition("</svg>")[0] + "</svg>")


def test_what_jobs_say_is_no_markup() -> None:
    evil = msgspec.structs.replace(TRUE, effects=[*TRUE.effects, effect("started", 3.5, job="j9", key="<script>alert(1)")])
    found = result(evil)
    assert "<script" not in page(document([found], 7), [found])


def test_recovery_is_when_what_waited_is_as_little_as_before_and_what_was_cut_short_runs_again() -> None:
    [recovery] = recoveries(TRUE)
    assert (recovery.at, recovery.seconds) == (0.5, 0.5)  # the march was cut short at 1.5 and ran again at 2.0

    herd = [submission(f"nap-{number}", f"n{number}", "chaos.nap", 1.6) for number in range(30)]
    late = [effect("started", 3.0, job=each.job or "", key=each.key) for each in herd]
    done = [effect("ended", 3.5, job=each.job or "", key=each.key) for each in herd]
    crowded = msgspec.structs.replace(
        TRUE,
        submissions=[*TRUE.submissions, *herd],
        effects=sorted([*TRUE.effects, *late, *done], key=lambda each: each.at),
        reports=[*TRUE.reports, *(reported(each.key, each.job or "", "chaos.nap", {1: "succeeded"}) for each in herd)],
        faults=[Fault(name="herd", begun=1.55, ended=1.7)],
    )
    [recovery] = recoveries(crowded)
    assert recovery.seconds == 3.5 - 1.7
    assert [each.submitted for each in seconds(crowded)] == [35, 0, 1]
    assert seconds(crowded)[2].p50 == 3.0 - 1.6

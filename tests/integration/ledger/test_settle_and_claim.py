"""A slice is settled and the next one claimed in one transaction: both or neither, and what is in doubt is found."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from perdure.ledger import Ledger
from perdure.ledger.jobs import claim
from perdure.ledger.jobs.claim import Claimer
from perdure.model.events import JobEvent
from perdure.model.job_log import Chunk, LogBounds, Said
from perdure.model.records import Claim, Settlement
from support.ledgers import DIE, RETRY, SUCCEED, job


@pytest.fixture
def by(ledger: Ledger) -> Claimer:
    """A worker's child, for whom six jobs wait."""
    ledger.jobs.submit([job(number, task="work") for number in range(6)])
    return Claimer("normal", "w-1", "w-1", 7, ("work",))


def chunk_of(of: Claim) -> Chunk:
    return Chunk(of.job_id, of.task, of.fence, of.attempt, 1, (Said(1.7e9, "INFO", "hello"),), LogBounds())


def states(ledger: Ledger) -> dict[str, int]:
    return ledger.jobs.count("state")


def arguments(claims: Sequence[Claim]) -> list[str]:
    return [each.args for each in claims]


@pytest.mark.parametrize("how", [SUCCEED, RETRY, DIE], ids=["succeeded", "retrying", "dead"])
@pytest.mark.parametrize("says", [False, True], ids=["silent", "says"])
def test_what_ended_is_settled_and_the_next_in_line_are_claimed(
    ledger: Ledger, by: Claimer, how: Settlement, says: bool
) -> None:
    events: list[JobEvent] = []
    first = ledger.jobs.claim(by, 2)
    ledger.events.subscribe(events.append)
    said = [chunk_of(first[0])] if says else []
    settled, claims = ledger.jobs.settle_and_claim([(each, how) for each in first], said, by, 3, {})
    assert arguments(claims) == ["[2]", "[3]", "[4]"]
    assert {(each.worker_name, each.worker_pid, each.fence) for each in claims} == {("w-1", 7, 1)}
    state = str(ledger.jobs.get(first[0].job_id).state)
    assert (set(settled.states.values()), settled.lost) == ({state}, {})
    assert states(ledger) == {state: 2, "running": 3, "queued": 1}
    assert [len(ledger.jobs.attempts(each.job_id)) for each in first] == [1, 1]
    assert [len(ledger.jobs.log_of(each.job_id, each.task)) for each in first] == [int(says), 0]
    assert [str(event.target) for event in events] == [state] * 2 + ["running"] * 3


def test_a_stale_fence_is_refused_and_holds_up_neither(ledger: Ledger, by: Claimer) -> None:
    stale, fresh = ledger.jobs.claim(by, 2)
    ledger.jobs.settle(stale, RETRY)
    settled, claims = ledger.jobs.settle_and_claim([(stale, SUCCEED), (fresh, SUCCEED)], [], by, 1, {})
    assert (settled.states, list(settled.lost)) == ({fresh.job_id: "succeeded"}, [stale.job_id])
    assert arguments(claims) == ["[2]"]


def test_nothing_is_claimed_while_the_bulkhead_is_paused_and_what_ended_is_settled(ledger: Ledger, by: Claimer) -> None:
    [first] = ledger.jobs.claim(by, 1)
    ledger.bulkheads.pause("normal", "a test", "why not")
    settled, claims = ledger.jobs.settle_and_claim([(first, SUCCEED)], [], by, 5, {})
    assert (settled.states, claims) == ({first.job_id: "succeeded"}, [])


def test_whose_connection_breaks_after_the_commit_finds_its_claims_on_another(
    ledger: Ledger, by: Claimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit's answer is lost; the work runs once more, claims nothing more, and says the same."""
    first = ledger.jobs.claim(by, 2)
    original, answers = ledger.database._run, []

    def lose_the_first(work: Any, *how: Any) -> Any:
        answers.append(original(work, *how))
        if len(answers) == 1:
            raise DBAPIError(None, None, ConnectionError("gone"), connection_invalidated=True)
        return answers[-1]

    monkeypatch.setattr(ledger.database, "_run", lose_the_first)
    settled, claims = ledger.jobs.settle_and_claim([(each, SUCCEED) for each in first], [], by, 2, {})
    assert answers[0] == answers[1] == (settled, claims)
    assert (arguments(claims), states(ledger)) == (["[2]", "[3]"], {"succeeded": 2, "running": 2, "queued": 2})


@pytest.mark.parametrize("says", [False, True], ids=["silent", "says"])
def test_of_a_claim_that_fails_the_settlement_is_not_written_either(
    ledger: Ledger, by: Claimer, says: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ledger.jobs.claim(by, 2)
    settlements = [(each, SUCCEED) for each in first]
    bad = replace(by, pid=2**80)
    with pytest.raises(Exception, match=r"range|large|int"):  # each driver's own error
        ledger.jobs.settle_and_claim(settlements, [chunk_of(first[0])] if says else [], bad, 2, {})
    assert states(ledger) == {"running": 2, "queued": 4}
    assert ledger.jobs.settle_all(settlements).lost == {}


def test_who_is_killed_between_settling_and_claiming_has_done_neither(ledger: Ledger, by: Claimer) -> None:
    """Where it is one statement there is nothing between; a dead letter makes it several."""
    settlements = [(each, DIE) for each in ledger.jobs.claim(by, 2)]

    def work() -> None:
        setattr(claim, "claim", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))  # noqa: B010
        ledger.jobs.settle_and_claim(settlements, [], by, 2, {})

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert states(ledger) == {"running": 2, "queued": 4}
    settled, claims = ledger.jobs.settle_and_claim(settlements, [], by, 2, {})
    assert (settled.lost, arguments(claims)) == ({}, ["[2]", "[3]"])

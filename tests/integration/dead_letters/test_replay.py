"""A dead letter is replayed once, as it was or with changes that are checked first; the audit trail tells of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pytest

from perdure import InvalidArguments, Perdure, Secret
from perdure.errors import ReplayRefused, UnknownBulkhead, UnknownTask
from perdure.ledger.schema import jobs
from perdure.model.events import JobEvent
from support.ledgers import DIE, SUCCEED, claimed, dead, running, submitted
from support.replay_driver import PROCESSES

Die = Callable[..., str]
TESTS = Path(__file__).parents[2]


def test_a_replay_is_what_the_job_was(shop: Perdure, die: Die) -> None:
    letter_id = die(tags={"tenant": "a"}, priority=2, timeout=12.0, bulkhead="background")
    job = shop.dead_letters.replay(letter_id, by="ann", source="a test")
    record = job.record
    assert (record.task, record.args, record.kwargs, record.bulkhead) == ("shop.charge", ["o-1", 5], {}, "background")
    assert (record.tags, record.priority, record.state) == ({"tenant": "a"}, 2, "queued")
    assert claimed(shop.ledger, job.id).timeout == 12.0
    assert next(found.id for found in shop.jobs.list(tag="tenant=a")) == job.id
    [entry] = shop.dead_letters.audit(letter_id=letter_id)
    assert (entry.who, entry.source, entry.action, entry.job_id) == ("ann", "a test", "replay", job.id)
    assert entry.detail == {}
    assert entry.at is not None


def test_a_replay_is_told_with_its_reason_even_when_no_bell_can_be_rung(
    shop: Perdure, die: Die, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*_: Any) -> None:
        raise RuntimeError("no broker understands this")

    letter = die()
    told: list[JobEvent] = []
    shop.events.subscribe(told.append)
    monkeypatch.setattr(shop.submitter, "ring", deaf)
    job = shop.dead_letters.replay(letter, by="ann")  # it is written: who asks again would get the same job
    assert job.state == "queued"
    assert [(event.job_id, event.source, event.target, event.reason) for event in told] == [
        (job.id, None, "queued", f"replay of dead letter {letter} by ann")
    ]


def test_edited_arguments_are_kept_as_a_diff(shop: Perdure, die: Die) -> None:
    letter_id = die()
    job = shop.dead_letters.replay(letter_id, ["o-1"], {"cents": 700}, bulkhead="background")
    assert (job.record.args, job.record.kwargs, job.record.bulkhead) == (["o-1"], {"cents": 700}, "background")
    [entry] = shop.dead_letters.audit(letter_id=letter_id)
    assert entry.detail == {
        "changes": {
            "arguments": {"cents": {"from": 5, "to": 700}},
            "bulkhead": {"from": "critical", "to": "background"},
        }
    }


@dataclass
class Item:
    sku: str


def test_typed_arguments_are_replayed_as_they_were_or_edited_as_json(shop: Perdure) -> None:
    @shop.job(name="shop.order")
    def order(items: tuple[Item, ...], at: datetime) -> None: ...

    payload = order.signature.encode(((Item("a"), Item("b")), datetime(2026, 1, 1)), {})
    stored: dict[str, Any] = {"args": payload.args, "payload_digest": payload.digest}
    letter_id = dead(shop.ledger, task="shop.order", **stored)[1]
    as_it_was = shop.dead_letters.replay(letter_id)
    edited = shop.dead_letters.replay(letter_id, [[{"sku": "c"}], "2026-01-02T00:00:00"], force=True)
    claims = [claimed(shop.ledger, job.id) for job in (as_it_was, edited)]
    assert [order.signature.decode(claim.args, claim.kwargs)[0] for claim in claims] == [
        [(Item("a"), Item("b")), datetime(2026, 1, 1)],
        [(Item("c"),), datetime(2026, 1, 2)],
    ]
    assert shop.dead_letters.audit(letter_id=letter_id)[-1].detail == {}
    with pytest.raises(InvalidArguments, match="sku"):
        shop.dead_letters.replay(letter_id, [[{"sku": 5}], "2026-01-02T00:00:00"], force=True)


def test_secrets_do_not_go_to_the_trail(shop: Perdure, die: Die) -> None:
    @shop.job(name="shop.pay")
    def pay(card: Annotated[str, Secret], order: str) -> None: ...

    letter_id, older = die("shop.pay", "4111", "o-1"), die("shop.pay", "4111", "o-1", "EUR")
    shop.dead_letters.replay(letter_id, ["4222", "o-2"])
    shop.dead_letters.replay(older, ["4333", "o-1"])
    of_older, of_newer = (entry.detail["changes"]["arguments"] for entry in shop.dead_letters.audit())
    assert of_newer == {"card": {"from": "***", "to": "***"}, "order": {"from": "o-1", "to": "o-2"}}
    assert of_older["args"] == {"from": ["***", "o-1", "EUR"], "to": ["***", "o-1"]}


def test_arguments_of_an_older_signature_can_be_mended(shop: Perdure, die: Die) -> None:
    letter_id = die("shop.charge", "o-1", 5, "EUR")
    with pytest.raises(InvalidArguments, match="too many positional"):
        shop.dead_letters.replay(letter_id)
    job = shop.dead_letters.replay(letter_id, ["o-1", 5])
    assert job.record.args == ["o-1", 5]
    [entry] = shop.dead_letters.audit()
    assert entry.detail["changes"]["arguments"]["args"] == {"from": ["o-1", 5, "EUR"], "to": ["o-1", 5]}


def test_what_is_wrong_is_refused_and_nothing_is_written(shop: Perdure, die: Die) -> None:
    letter_id, strange = die(), die("shop.gone", "x")
    with pytest.raises(InvalidArguments, match="cents"):
        shop.dead_letters.replay(letter_id, ["o-1", "five"])
    with pytest.raises(InvalidArguments, match="missing"):
        shop.dead_letters.replay(letter_id, ["o-1"])
    with pytest.raises(UnknownBulkhead):
        shop.dead_letters.replay(letter_id, bulkhead="nowhere")
    with pytest.raises(UnknownTask):
        shop.dead_letters.replay(strange)
    assert shop.dead_letters.get(letter_id).status == "open"
    assert shop.jobs.count() == {"dead": 2}
    assert shop.dead_letters.audit() == []


def test_a_discarded_letter_is_replayed_only_with_force(shop: Perdure, die: Die) -> None:
    letter_id = die()
    shop.dead_letters.discard(letter_id, "not worth it", by="ann")
    with pytest.raises(ReplayRefused, match="not worth it"):
        shop.dead_letters.replay(letter_id)
    job = shop.dead_letters.replay(letter_id, force=True)
    assert shop.dead_letters.get(letter_id).replayed_as == job.id
    assert [entry.action for entry in shop.dead_letters.audit(letter_id=letter_id)] == ["replay", "discard"]
    assert shop.dead_letters.audit(letter_id=letter_id)[0].detail == {"was": "discarded"}


def test_an_open_breaker_refuses_unless_forced(shop: Perdure, die: Die) -> None:
    by_task, by_letter = die(), die("shop.mail", breaker="smtp")
    for name, letter_id in (("payments", by_task), ("smtp", by_letter)):
        shop.dead_letters.replayer.breaker_is_open = lambda asked, name=name: asked == name  # type: ignore[misc]
        with pytest.raises(ReplayRefused, match=f"circuit breaker '{name}' is open"):
            shop.dead_letters.replay(letter_id)
        assert shop.dead_letters.get(letter_id).status == "open"
    shop.dead_letters.replay(by_letter, force=True)
    shop.dead_letters.replayer.breaker_is_open = lambda _name: False  # type: ignore[method-assign]
    shop.dead_letters.replay(by_task)
    assert shop.dead_letters.count(status="open") == 0


def test_from_the_checkpoint_or_from_the_start(shop: Perdure) -> None:
    def dead_at(data: bytes) -> str:
        claim = running(shop.ledger, "ann", task="shop.mail")
        shop.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", data, 0)
        letter = shop.ledger.jobs.settle(claim, DIE)
        assert letter
        return letter

    one, other = dead_at(b'"half"'), dead_at(b'"half"')
    resumed = shop.dead_letters.replay(one, from_checkpoint=True)
    afresh = shop.dead_letters.replay(other)
    [kept] = shop.ledger.running.load_checkpoint(resumed.id, "main")
    assert kept.data == b'"half"'
    assert shop.ledger.running.load_checkpoint(afresh.id, "main") == []
    # The copy is the new job's own: it goes on from there.
    claim = claimed(shop.ledger, resumed.id)
    assert claim.checkpoint_seq == 1
    assert shop.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b'"all"', 1)[0] == 2
    assert shop.dead_letters.audit(letter_id=one)[0].detail == {"from_checkpoint": True}


@pytest.mark.slow
def test_replays_from_several_processes_make_one_job(shop: Perdure, die: Die, tmp_path: Path) -> None:
    letter_id, settings = die(), shop.settings
    command = ["-m", "support.replay_driver", settings.effective_ledger_url, settings.effective_broker_url, letter_id]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=110,
        check=True,
    )
    answers = done.stdout.split()
    assert len(answers) == PROCESSES
    assert len(set(answers)) == 1
    assert shop.jobs.count() == {"dead": 1, "queued": 1}
    assert len(shop.dead_letters.audit(letter_id=letter_id)) == 1
    assert shop.dead_letters.groups()[0].replayed == 1


def test_lineage_both_ways(shop: Perdure, die: Die) -> None:
    letter_id = die()
    first = shop.dead_letters.get(letter_id).job_id or ""
    second = shop.dead_letters.replay(letter_id, by="ann")
    boomerang = shop.ledger.jobs.settle(claimed(shop.ledger, second.id), DIE)
    assert boomerang
    third = shop.dead_letters.replay(boomerang, by="bob")
    shop.ledger.jobs.settle(claimed(shop.ledger, third.id), SUCCEED)

    for job_id in (first, second.id, third.id):
        line = shop.dead_letters.lineage(job_id)
        assert [(entry.job_id, entry.replay_of, entry.generation, entry.state) for entry in line] == [
            (first, None, 0, "dead"),
            (second.id, first, 1, "dead"),
            (third.id, second.id, 2, "succeeded"),
        ]
        assert [(entry.letter_id, entry.replayed_by) for entry in line] == [
            (letter_id, "ann"),
            (boomerang, "bob"),
            (None, None),
        ]
        assert shop.jobs.get(job_id).lineage() == line
    assert second.replay_of is not None
    assert (second.replay_of.id, [job.id for job in second.replays()]) == (first, [third.id])
    assert (shop.jobs.get(first).replay_of, third.replays()) == (None, [])
    assert shop.dead_letters.get(boomerang).generation == 1
    assert shop.dead_letters.groups(error="ValueError")[-1].boomerangs == 1


def test_a_forced_replay_is_another_branch_of_the_line(shop: Perdure, die: Die) -> None:
    letter_id = die()
    jobs = [shop.dead_letters.replay(letter_id, force=True).id for _ in range(2)]
    line = shop.dead_letters.lineage(jobs[1])
    assert [entry.job_id for entry in line][1:] == jobs
    assert submitted(shop.ledger) not in [entry.job_id for entry in line]


def test_notes(shop: Perdure, die: Die) -> None:
    letter_id = die()
    letter = shop.dead_letters.note(letter_id, "asked the bank", by="ann")
    assert (letter.note, letter.noted_by) == ("asked the bank", "ann")
    shop.dead_letters.note_group(letter.fingerprint, "known, fixed in 1.4", by="bob")
    assert [(entry.action, entry.who) for entry in shop.dead_letters.audit(fingerprint=letter.fingerprint)] == [
        ("group_note", "bob"),
        ("note", "ann"),
    ]
    assert shop.dead_letters.note(letter_id, None).note is None


def test_a_replayed_letter_takes_no_new_arguments_unless_forced(shop: Perdure, die: Die) -> None:
    letter_id = die()
    first = shop.dead_letters.replay(letter_id, args=["o-2", 7])
    same: list[dict[str, Any]] = [{}, {"args": ["o-2", 7]}, {"args": ["o-2", 7], "bulkhead": "critical"}]
    assert {shop.dead_letters.replay(letter_id, **call).id for call in same} == {first.id}
    others: list[dict[str, Any]] = [{"args": ["o-2", 8]}, {"args": ["o-1", 5]}, {"kwargs": {}}, {"bulkhead": "normal"}]
    for other in others:
        with pytest.raises(ReplayRefused, match=f"replayed already, as job {first.id}, and with another call"):
            shop.dead_letters.replay(letter_id, **other)
    assert shop.jobs.count()["queued"] == 1
    forced = shop.dead_letters.replay(letter_id, args=["o-2", 8], force=True)
    assert forced.record.args == ["o-2", 8]


def test_nobody_can_say_that_a_pruned_replay_was_the_same_call(shop: Perdure, die: Die) -> None:
    letter_id = die()
    replay = shop.dead_letters.replay(letter_id, args=["o-2", 7])
    with shop.ledger.transaction() as connection:
        connection.execute(jobs.delete().where(jobs.c.id == replay.id))
    with pytest.raises(ReplayRefused):
        shop.dead_letters.replay(letter_id, args=["o-2", 7])
    assert shop.dead_letters.replay(letter_id).id == replay.id

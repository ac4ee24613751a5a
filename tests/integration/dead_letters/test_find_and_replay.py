"""Finding letters, replaying one, and the trail of it, on both databases."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.errors import InvalidArguments, ReplayRefused
from perdure.ledger.records import Claim, Death
from perdure.states import DeadReason
from support.ledgers import DIE, claimed

OF_PAYMENTS = replace(DIE, death=Death(DeadReason.EXHAUSTED, "e" * 16, breaker="payments"))


@pytest.fixture
def add(app: Perdure):
    @app.job(name="shop.add", timeout=30)
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


def died(app: Perdure, task, *args: object, settlement=DIE, **options: object) -> tuple[Claim, str]:
    claim = claimed(app.ledger, task.options(**options).submit(*args).id)
    letter = app.ledger.settle(claim, settlement)
    assert letter is not None
    return claim, letter


def test_letters_are_found_by_every_filter(app: Perdure, add) -> None:
    _, first = died(app, add, 1, tags={"tenant": "a"})
    _, second = died(app, add, 2, tags={"tenant": "b"}, bulkhead="critical")
    _, third = died(app, add, 77, settlement=replace(OF_PAYMENTS, error="card 100% REFUSED", error_type="CardError"))
    app.dead_letters.discard(third, "x")

    def found(**filters: object) -> list[str]:
        assert app.dead_letters.count(**filters) == len(app.dead_letters.list(**filters))
        return [letter.id for letter in app.dead_letters.list(**filters)]

    moment = app.dead_letters.get(second).created_at
    assert moment is not None
    assert found(task="shop.add") == [third, second, first]
    assert found(tag="tenant=a") == [first]
    assert found(tag=("tenant", "b")) == [second]
    assert found(bulkhead="critical") == [second]
    assert found(error="CardError") == found(breaker="payments") == found(fingerprint="e" * 16) == [third]
    assert found(text="100% refused") == [third]
    assert found(text="100_") == []
    assert found(text="77") == [third]
    assert found(reason="exhausted", status="open") == [second, first]
    assert found(until=moment.timestamp() + 100, since=0) == [third, second, first]
    assert found(until=0) == []
    for wrong in ({"taks": "x"}, {"status": "closed"}, {"reason": "bad luck"}, {"tag": "tenant"}):
        with pytest.raises(InvalidArguments):
            app.dead_letters.list(**wrong)


def test_a_replay_keeps_what_the_job_had_and_what_was_edited_is_kept(app: Perdure, add) -> None:
    claim, letter = died(app, add, 1, tags={"tenant": "a"}, priority=2, timeout=7)
    job = app.dead_letters.replay(letter, args=[5], by="ann", bulkhead="critical")
    record = job.record
    assert (record.args, record.tags, record.priority, record.bulkhead) == ([5], {"tenant": "a"}, 2, "critical")
    assert claimed(app.ledger, job.id).timeout == 7
    assert app.dead_letters.get(letter).replay_diff == {"args": {"before": [1], "after": [5]}}
    [entry] = app.dead_letters.audit(letter)
    assert (entry.action, entry.by, entry.details["job"]) == ("replay", "ann", job.id)
    assert entry.details["diff"]["args"]["after"] == [5]
    assert entry.origin
    assert entry.at is not None
    assert job.replay_of is not None
    assert job.replay_of.id == claim.job_id
    assert [replay.id for replay in app.jobs.get(claim.job_id).replays] == [job.id]


def test_arguments_that_do_not_fit_write_nothing(app: Perdure, add) -> None:
    _, letter = died(app, add, 1)
    with pytest.raises(InvalidArguments):
        app.dead_letters.replay(letter, args=["one"])
    assert app.dead_letters.get(letter).status == "open"
    assert app.dead_letters.audit(letter) == []
    assert app.jobs.count(by="state") == {"dead": 1}


def test_a_replay_goes_on_from_the_checkpoint_or_from_the_start(app: Perdure, add) -> None:
    claim = claimed(app.ledger, add.submit(1).id)
    app.ledger.save_checkpoint(claim.job_id, claim.fence, "main", b'{"next":3}', 0)
    letter = app.ledger.settle(claim, DIE)
    assert letter is not None
    assert app.dead_letters.get(letter).checkpoint_seq == 1
    started = app.dead_letters.replay(letter)
    assert app.ledger.load_checkpoint(started.id, "main") == []
    resumed = app.dead_letters.replay(letter, from_checkpoint=True, force=True)
    assert [version.data for version in app.ledger.load_checkpoint(resumed.id, "main")] == [b'{"next":3}']
    again = claimed(app.ledger, resumed.id)
    seq, _ = app.ledger.save_checkpoint(again.job_id, again.fence, "main", b"{}", 1)
    assert seq == 2


def test_no_replay_while_the_breaker_is_open_unless_forced(app: Perdure, add, monkeypatch: pytest.MonkeyPatch) -> None:
    _, letter = died(app, add, 1, settlement=OF_PAYMENTS)
    monkeypatch.setattr(app.dead_letters.breakers, "state", lambda name: {"payments": "open"}[name])
    with pytest.raises(ReplayRefused, match="payments"):
        app.dead_letters.replay(letter)
    assert app.dead_letters.get(letter).status == "open"
    assert app.dead_letters.replay(letter, force=True).record.state == "queued"


def test_lineage_both_ways(app: Perdure, add) -> None:
    claim, letter = died(app, add, 1)
    ids = [claim.job_id]
    for _ in range(2):
        job = app.dead_letters.replay(letter)
        ids.append(job.id)
        again = app.ledger.settle(claimed(app.ledger, job.id), DIE)
        assert again is not None
        letter = again
        assert app.dead_letters.get(letter).replay_of == ids[-2]
    for job_id in ids:
        assert [job.id for job in app.jobs.get(job_id).lineage()] == ids
    [group] = app.dead_letters.groups()
    assert (group.count, group.boomerangs, sum(group.trend)) == (3, 2, 3)


REPLAY = """
import sys
from perdure import Perdure
app = Perdure(ledger_url=sys.argv[1], broker_url=sys.argv[2])
@app.job(name="shop.add")
def add(a: int, b: int = 0) -> int: ...
app.ledger.schema_version()
print("ready", flush=True)
sys.stdin.readline()
print(app.dead_letters.replay(sys.argv[3]).id)
"""


def test_eight_processes_at_once_make_one_job(app: Perdure, add, migrated_url: str, redis_url: str, tmp_path: Path) -> None:
    claim, letter = died(app, add, 1)
    command = [sys.executable, "-c", REPLAY, migrated_url, redis_url, letter]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    processes = [subprocess.Popen(command, **pipes) for _ in range(8)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline().strip() == "ready"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [{job.id} for job in app.jobs.get(claim.job_id).replays] == [ids]


def test_notes_purge_and_moving_to_another_environment(app: Perdure, add) -> None:
    _, first = died(app, add, 1, tags={"tenant": "a"})
    _, second = died(app, add, 2)
    app.dead_letters.note(first, "customer called", by="ann")
    app.dead_letters.note_group("f" * 16, "known, fixed in 1.4", by="bob")
    assert app.dead_letters.get(first).note == "customer called"
    [group] = app.dead_letters.groups()
    assert (group.note, group.noted_by, group.open) == ("known, fixed in 1.4", "bob", 2)
    before = app.dead_letters.get(first)
    attempts = app.dead_letters.attempts(first)
    lines = list(app.dead_letters.export(task="shop.add"))
    with pytest.raises(InvalidArguments, match="everything=True"):
        app.dead_letters.purge()
    assert app.dead_letters.purge(task="shop.add") == 2
    assert app.dead_letters.list() == []
    assert app.dead_letters.list(tag="tenant=a") == []
    assert app.dead_letters.import_(lines, by="ann") == 2
    assert app.dead_letters.import_(lines) == 0
    after = app.dead_letters.get(first)
    assert replace(after, history=None) == before
    assert app.dead_letters.attempts(first) == attempts
    assert [letter.id for letter in app.dead_letters.list(tag="tenant=a")] == [first]
    assert app.dead_letters.replay(second).record.args == [2]
    actions = [entry.action for entry in app.dead_letters.audit()]
    assert sorted(actions) == sorted(["note", "note_group", "export", "purge", "purge", "import", "import", "replay"])
    with pytest.raises(InvalidArguments, match="line 1"):
        app.dead_letters.import_(["{}"])


def test_notices_come_once(app: Perdure, add) -> None:
    told: list[tuple[str, int]] = []
    app.dead_letters.subscribe(lambda notice: told.append((notice.kind, notice.count)))
    _, letter = died(app, add, 1)
    assert (app.dead_letters.look(), app.dead_letters.look()) == (1, 0)
    for number in range(9):
        died(app, add, number)
    app.dead_letters.look()
    job = app.dead_letters.replay(letter)
    app.ledger.settle(claimed(app.ledger, job.id), DIE)
    app.dead_letters.look()
    assert told == [("new_group", 1), ("growth", 10), ("boomerang", 11)]

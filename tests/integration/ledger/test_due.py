"""Which duties of supervisors find something to do: one statement says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.ledger import Ledger
from perdure.ledger.alerts import outbox
from perdure.model.alerts.notice import Event, Notice
from perdure.model.ids import new_id
from support.ledgers import claimed, dead, running, submitted


def due(ledger: Ledger, *, held: Sequence[str] = (), ttl: float = 3600.0, thorough: bool = True) -> set[str]:
    return set(ledger.due(host="here", held=held, ttl=ttl, notifiers=["ops", "chat"], thorough=thorough))


def register(ledger: Ledger, **changes: Any) -> str:
    plain = {"name": "w", "bulkhead": "normal", "host": "here", "pid": 7, "concurrency": 2, "lease_ttl": 60.0}
    row = {"id": new_id(), **plain, "lock_path": None, **changes}
    ledger.workers.register(row)
    return str(row["id"])


def test_nothing_where_all_is_well(ledger: Ledger) -> None:
    claimed(ledger, submitted(ledger), worker=register(ledger))
    running(ledger)
    submitted(ledger, delay=60.0)
    submitted(ledger, deadline=4e9)
    assert due(ledger) == set()


def test_a_worker_whose_heartbeats_are_late(ledger: Ledger) -> None:
    late = register(ledger, lease_ttl=-1.0)
    assert due(ledger, thorough=False) == {"expire"}
    ledger.workers.change_state(late, "gone", "left")
    assert due(ledger) == set()


def test_what_an_ended_worker_runs_is_looked_for_when_it_is_thorough(ledger: Ledger) -> None:
    ended, other = register(ledger), register(ledger)
    claimed(ledger, submitted(ledger), worker=other)
    claimed(ledger, submitted(ledger), worker=ended)
    ledger.workers.change_state(register(ledger), "gone", "left")
    ledger.workers.change_state(ended, "failed", "killed")
    assert ledger.running.orphaning(10) == [ended]
    assert due(ledger) == {"expire"}
    assert due(ledger, thorough=False) == set()


def test_jobs_that_are_to_die_before_they_run(ledger: Ledger) -> None:
    submitted(ledger, deadline=1.0)
    assert due(ledger) == {"bury"}
    ledger.jobs.bury_expired(10)
    assert due(ledger) == {"notice"}


def test_jobs_of_a_task_that_nobody_knows(ledger: Ledger) -> None:
    submitted(ledger)
    ledger.jobs.note_unknown("normal", set(), 10)
    assert due(ledger) == set()
    assert due(ledger, ttl=0.0) == {"bury"}


def test_a_fault_that_changed(ledger: Ledger) -> None:
    dead(ledger)
    assert due(ledger) == {"notice"}
    ledger.letters.take_notices(10)
    assert due(ledger) == set()


def test_what_a_notifier_of_this_process_is_to_be_told(ledger: Ledger) -> None:
    ledger.direct(lambda c: outbox.add(c, [Notice("others", "rule", Event.FIRING, ())]))
    assert due(ledger) == set()
    ledger.direct(lambda c: outbox.add(c, [Notice("chat", "rule", Event.FIRING, ())]))
    assert due(ledger) == {"notify"}


def test_neighbours_that_keep_a_file_locked(ledger: Ledger) -> None:
    register(ledger, host="there", lock_path="/there.lock")
    ledger.workers.change_state(register(ledger, lock_path="/gone.lock"), "gone", "left")
    assert due(ledger) == set()
    mine = register(ledger, lock_path="/mine.lock")
    assert [(found.id, found.lock_path) for found in ledger.workers.neighbours("here")] == [(mine, "/mine.lock")]
    assert due(ledger) == {"watch"}
    assert due(ledger, held=["/mine.lock", "/other.lock"]) == set()

"""No statement of the ledger reads a whole table, however many finished jobs there are.

The statements are those that the ledger really runs: they are recorded, and the database is asked how it would run them.
Both are asked with and without statistics: nobody runs ANALYZE on an embedded file, and a table may have grown since.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import event

from perdure.ledger import Ledger, glance, minutes
from perdure.ledger.dead_letters.group_match import matching_by_fault
from perdure.ledger.dead_letters.replay import Replay
from perdure.ledger.jobs import history, job_facts, last_errors, lookup
from perdure.ledger.jobs.behind_breakers import waiting_behind
from perdure.ledger.jobs.claim import NO_MARKS, Claimer, Since
from perdure.ledger.jobs.notes import NoteKind
from perdure.ledger.running.checkpoint_store import LedgerStore
from perdure.ledger.running.steps import StepRecord
from perdure.ledger.schedules import schedule_facts
from perdure.ledger.schema import jobs
from perdure.model.alerts.slo import Slo
from perdure.model.dead_letter import Actor, LetterFilter
from perdure.model.ids import earliest_id, new_id
from perdure.model.job_filter import JobFilter
from perdure.model.lanes import PLAIN, REPLICAS
from perdure.model.records import RELEASED, Claim, DeadLetterRecord
from perdure.model.states import JobState
from perdure.stores.record import CheckpointRecord
from support.full_ledgers import fill
from support.ledgers import DIE, RETRY, SUCCEED, job, submitted
from support.waiting import wait_until

JOBS = 30_000
BIG_TABLES = {
    "perdure_jobs",
    "perdure_attempts",
    "perdure_dead_letters",
    "perdure_job_tags",
    "perdure_dead_letter_tags",
    "perdure_dead_letter_words",
    "perdure_dead_letter_audit",
}
#: Names that statements written as text give to these tables.
ALIASES = {"w", "j", "o", "l", "t", "a", "again"}
SLO = Slo("adding", "tests.add", 30.0, 0.99, 86_400.0)
ANN = Actor("ann", "a test")
#: How the names of those begin that run on connections of perdure's own.
OWN = (
    *("submit", "depth", "claim", "lanes", "running within", "settle", "cancel", "restore", "bring forward", "checkpoint"),
    *("progress", "step", "note of a job", "log of a job", "read a job", "attempts", "effect key", "begun anew", "die"),
)
#: These hold a few rows only, because few jobs are in these states at a time: they may be read whole.
SMALL_INDEXES = ("ix_perdure_jobs_running", "ix_perdure_jobs_limited", "ix_perdure_jobs_cancelling")


@pytest.fixture(
    scope="module", params=["sqlite", "sqlite-without-statistics", "postgresql", "postgresql-without-statistics"]
)
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with many finished jobs."""
    if request.param.startswith("postgresql"):
        url = request.getfixturevalue("postgres_server").create_database(f"full_{request.param}")
    else:
        template: Path = request.getfixturevalue("migrated_sqlite")
        url = f"sqlite:///{shutil.copy(template, tmp_path_factory.mktemp('full') / 'ledger.sqlite3')}"
    ledger = Ledger(url)
    ledger.upgrade()
    fill(ledger, JOBS, statistics="without" not in request.param)
    yield ledger
    ledger.close()


def worker_row() -> dict[str, Any]:
    plain = {"bulkhead": "normal", "host": "h", "pid": 7, "concurrency": 2, "lease_ttl": 60.0, "lock_path": None}
    return {"id": new_id(), "name": "w", **plain}


#: A child that knows the tasks of most jobs.
ANYBODY = Claimer("normal", "w-1", "w", 8, ("tests.add", "tests.other"))


def claim_new(ledger: Ledger, count: int = 1, lane: str = PLAIN, since: Since = NO_MARKS, **changes: Any) -> list[Claim]:
    """Submit jobs to a bulkhead of their own, and claim them."""
    bulkhead = new_id()
    ledger.jobs.submit([job(number, bulkhead=bulkhead, **changes) for number in range(count)])
    return ledger.jobs.claim(replace(ANYBODY, bulkhead=bulkhead), count, lane, since=since)


def running(ledger: Ledger) -> Claim:
    [claim] = claim_new(ledger)
    return claim


def settle_slice(ledger: Ledger) -> object:
    return ledger.jobs.settle_all(list(zip(claim_new(ledger, 4), (SUCCEED, RETRY, RELEASED, RELEASED), strict=True)))


def letter(ledger: Ledger) -> str:
    return letters(ledger, status="open")[0].id


def letters(ledger: Ledger, **filters: Any) -> list[DeadLetterRecord]:
    return ledger.letters.page(LetterFilter(**filters), limit=50)


def note_and_read(ledger: Ledger, job_id: str) -> None:
    ledger.jobs.note(job_id, NoteKind.HANDED_BACK, "")
    ledger.jobs.notes_of(job_id)


def checkpoint_in_store(store: LedgerStore, job_id: str) -> None:
    for seq in (1, 2, 3):
        store.save(CheckpointRecord(job_id, "main", seq, 1, b"", 1.0))
    store.head(job_id, "main")
    store.drop_damaged(job_id, "main")
    store.scan(limit=10)
    store.scan(f"{job_id}/main", 10)
    store.delete(job_id)
    store.health()


def settle_and_claim(ledger: Ledger) -> object:
    claims, by = claim_new(ledger, 4), replace(ANYBODY, bulkhead=new_id())
    ledger.jobs.submit([job(number, bulkhead=by.bulkhead) for number in range(4)])
    return ledger.jobs.settle_and_claim([(claim, SUCCEED) for claim in claims], (), by, 2, {})


STATEMENTS: dict[str, Callable[[Ledger], object]] = {
    "submit": lambda ledger: submitted(ledger, 1, tags={"a": "b"}),
    "submit with a key": lambda ledger: submitted(ledger, 1, idempotency_key=new_id()),
    "submit with a key that is taken": lambda ledger: [submitted(ledger, 1, idempotency_key="k") for _ in range(2)],
    "depth": lambda ledger: ledger.jobs.depth("normal", 100),
    "claim": lambda ledger: claim_new(ledger, 3),
    "claim since": lambda ledger: claim_new(ledger, 3, since={5: 1.7e9}),
    "claim of nothing": lambda ledger: ledger.jobs.claim(replace(ANYBODY, bulkhead="nobody"), 5),
    "claim in a lane": lambda ledger: claim_new(ledger, 3, "breaker:b", breaker="b"),
    "claim of a replica": lambda ledger: claim_new(ledger, 1, REPLICAS, replica_of=new_id()),
    "claim in doubt": lambda ledger: ledger.jobs.claim(replace(ANYBODY, bulkhead="nobody", pid=9), 5, in_doubt=True),
    "claim within limits": lambda ledger: [
        submitted(ledger, limit_key="a"),
        ledger.jobs.claim_within(
            ANYBODY, ledger.jobs.lanes("normal"), lambda lanes, _: {lane.name: 1 for lane in lanes[1:]}
        ),
    ],
    "lanes": lambda ledger: [submitted(ledger, limit_key="a"), ledger.jobs.lanes("normal")],
    "lanes, from a moment on": lambda ledger: ledger.jobs.lanes("normal", back=1.0),
    "lanes behind": lambda ledger: ledger.jobs.lanes("normal", PLAIN),
    "running within limits": lambda ledger: ledger.jobs.running_within_limits(),
    "settle": lambda ledger: ledger.jobs.settle(running(ledger), SUCCEED),
    "settle twice": lambda ledger: [ledger.jobs.settle(claim, SUCCEED) for claim in [running(ledger)] * 2],
    "settle a slice": lambda ledger: settle_slice(ledger),
    "settle and claim": settle_and_claim,
    "die": lambda ledger: ledger.jobs.settle(running(ledger), DIE),
    "cancel": lambda ledger: ledger.jobs.cancel(submitted(ledger), ""),
    "bring forward": lambda ledger: ledger.jobs.bring_forward(submitted(ledger, delay=60.0)),
    "cancel a running job": lambda ledger: ledger.jobs.cancel(running(ledger).job_id, ""),
    "cancelling": lambda ledger: ledger.running.cancelling("w-1"),
    "note unknown": lambda ledger: ledger.jobs.note_unknown("normal", {"tests.add"}, 100),
    "bury expired": lambda ledger: [submitted(ledger, deadline=1.0), ledger.jobs.bury_expired(10)],
    "bury unknown": lambda ledger: ledger.jobs.bury_unknown(0.0, 10),
    "running of a worker": lambda ledger: ledger.running.of_worker("w-1"),
    "running by a child": lambda ledger: ledger.running.of_child("w-1", 100),
    "list workers": lambda ledger: [ledger.workers.register(worker_row()), ledger.workers.listing()],
    "orphaning workers": lambda ledger: [ledger.workers.register(worker_row()), ledger.running.orphaning(10)],
    "silent workers": lambda ledger: ledger.workers.silent(10),
    "bulkhead counts": lambda ledger: ledger.bulkheads.counts(),
    "resume": lambda ledger: ledger.bulkheads.resume("normal"),
    "checkpoint": lambda ledger: ledger.running.save_checkpoint(
        (claim := running(ledger)).job_id, claim.fence, "main", b"", 0
    ),
    "progress": lambda ledger: ledger.running.report_progress((claim := running(ledger)).job_id, claim.fence, 1, 2, ""),
    "restore": lambda ledger: [ledger.jobs.cancel(job_id := submitted(ledger), ""), ledger.jobs.restore(job_id, "")],
    "checkpoint in a store": lambda ledger: checkpoint_in_store(LedgerStore(ledger), new_id()),
    "step": lambda ledger: [
        ledger.running.record_step((claim := running(ledger)).job_id, claim.fence, StepRecord(1, "a", "1", 1)),
        ledger.running.steps_of(claim.job_id),
    ],
    "note of a job": lambda ledger: note_and_read(ledger, new_id()),
    "log of a job": lambda ledger: ledger.jobs.log_of(new_id(), "tests.add", (1, 1)),
    "effect key": lambda ledger: ledger.jobs.effect_key(submitted(ledger, replay_of=submitted(ledger))),
    "begun anew": lambda ledger: ledger.running.begun_anew(running(ledger)),
    "read a job": lambda ledger: ledger.jobs.get(submitted(ledger)),
    "attempts": lambda ledger: ledger.jobs.attempts("nobody"),
    "list": lambda ledger: ledger.jobs.listing(limit=50),
    "list a further page": lambda ledger: ledger.jobs.listing(limit=50, after=ledger.jobs.listing(limit=50)[-1].id),
    "list by state": lambda ledger: [ledger.jobs.listing(state=state, limit=50) for state in JobState],
    "list by task": lambda ledger: ledger.jobs.listing(task="tests.add", limit=50),
    "list by bulkhead": lambda ledger: ledger.jobs.listing(bulkhead="critical", limit=50),
    "list by task and state": lambda ledger: ledger.jobs.listing(task="tests.add", state=JobState.DEAD, limit=50),
    "list by bulkhead and state": lambda ledger: ledger.jobs.listing(bulkhead="normal", state=JobState.RETRYING, limit=50),
    "list by tag": lambda ledger: ledger.jobs.listing(tag=("tenant", "tenant-1"), limit=50),
    "list by a tag that nobody has": lambda ledger: ledger.jobs.listing(tag=("tenant", "nobody"), limit=50),
    "list since": lambda ledger: ledger.jobs.listing(since=time.time() - 60, limit=50),
    "list since by state": lambda ledger: ledger.jobs.listing(since=time.time() - 60, state=JobState.SUCCEEDED, limit=50),
    "replays of a job": lambda ledger: ledger.jobs.replays_of("nobody"),
    "dead letters": lambda ledger: letters(ledger),
    "dead letters, the oldest first": lambda ledger: ledger.letters.page(LetterFilter(), limit=50, oldest_first=True),
    "dead letters by task": lambda ledger: letters(ledger, task="tests.add"),
    "dead letters by bulkhead": lambda ledger: letters(ledger, bulkhead="critical"),
    "dead letters by status": lambda ledger: letters(ledger, status="open"),
    "dead letters by fingerprint": lambda ledger: letters(ledger, fingerprint="f2"),
    "dead letters by fingerprint and status": lambda ledger: letters(ledger, fingerprint="f2", status="open"),
    "dead letters by error": lambda ledger: letters(ledger, error="E1"),
    "dead letters by reason": lambda ledger: letters(ledger, reason="malformed"),
    "dead letters by breaker": lambda ledger: letters(ledger, breaker="payments", status="open"),
    "dead letters by tag": lambda ledger: letters(ledger, tag=("tenant", "tenant-1")),
    "dead letters by tag and status": lambda ledger: letters(ledger, tag=("tenant", "tenant-1"), status="open"),
    "dead letters by a word": lambda ledger: letters(ledger, text="declined"),
    "dead letters by a rare word": lambda ledger: letters(ledger, text="w77"),
    "dead letters by words and status": lambda ledger: letters(ledger, text="declined w77", status="open"),
    "dead letters by tag and word": lambda ledger: letters(ledger, tag=("tenant", "tenant-1"), text="declined"),
    "dead letters by task and status": lambda ledger: letters(ledger, task="tests.add", status="open"),
    "dead letters since": lambda ledger: letters(ledger, since=time.time() - 60),
    "dead letters until": lambda ledger: letters(ledger, until=time.time() - 60),
    "dead letters, a further page": lambda ledger: ledger.letters.page(LetterFilter(), after=letter(ledger), limit=50),
    "letters that wait for a breaker": lambda ledger: ledger.letters.newest_replayable("tests.add", "payments", 3),
    "a page of letters that wait for a breaker": lambda ledger: ledger.letters.page(
        LetterFilter(task="tests.add", breaker="payments", status="open", upto=new_id()), oldest_first=True
    ),
    "outcomes of a bulk replay": lambda ledger: ledger.letters.outcomes("nobody"),
    "letters of a bulk replay": lambda ledger: letters(ledger, replayed_in="nobody"),
    "is there anything to do for supervisors": lambda ledger: ledger.due(
        host="h", held=["w.lock"], ttl=60, notifiers=["a"], thorough=True
    ),
    "notices": lambda ledger: ledger.letters.take_notices(10),
    "purge": lambda ledger: ledger.letters.purge(LetterFilter(status="replayed", until=time.time()), 10),
    "prune": lambda ledger: [ledger.letters.prune(1e12, 10), ledger.letters.prune_leftovers(1e12, 10)],
    "export": lambda ledger: ledger.letters.read(LetterFilter(status="open"), limit=10, after=None),
    "prune jobs": lambda ledger: ledger.jobs.prune(JobState.SUCCEEDED, 2e8, "", 10),
    "prune cancelled jobs": lambda ledger: ledger.jobs.prune(JobState.CANCELLED, 2e8, "", 10),
    "prune workers": lambda ledger: ledger.workers.prune(2e8, 10),
    "mean run": lambda ledger: ledger.jobs.mean_run("tests.add"),
    "groups": lambda ledger: ledger.letters.groups(limit=50),
    "audit": lambda ledger: [
        ledger.letters.audit(),
        ledger.letters.audit(letter_id="x"),
        ledger.letters.audit(fingerprint="x"),
    ],
    "lineage": lambda ledger: ledger.letters.line(ledger.letters.get(letter(ledger)).job_id or ""),
    "replay": lambda ledger: ledger.letters.replay([Replay(letter(ledger), job(1))], ANN, force=True),
    "replay from a checkpoint": lambda ledger: ledger.letters.replay(
        [Replay(letter(ledger), job(1), from_checkpoint=True)], ANN, force=True
    ),
    "discard": lambda ledger: ledger.letters.discard([letter(ledger)], "x", ANN),
    "reopen": lambda ledger: ledger.letters.reopen([letter(ledger)], ANN),
    "discarded in one go": lambda ledger: ledger.letters.discarded_between("ann", earliest_id(time.time()), new_id(), 10),
    "job by the beginning of its id": lambda ledger: ledger.read(partial(lookup.find_job_id, text=submitted(ledger)[:-1])),
    "letters at a glance": lambda ledger: ledger.read(glance.letter_counts),
    "what ended in a minute": lambda ledger: ledger.read(lambda c: history.ended_between(c, time.time() - 60, time.time())),
    "count outcomes": lambda ledger: [ledger.alerts.count_on([SLO]) for _ in range(2)],
    "recent counts": lambda ledger: ledger.read(lambda c: minutes.recent(c, time.time(), 300.0, 300.0)),
    "prune alerts": lambda ledger: ledger.alerts.prune(2e8, 10),
    "last errors": lambda ledger: ledger.direct(last_errors.last_errors),
    "load of a bulkhead": lambda ledger: ledger.load_of("normal", 3600.0),
    "newest by state": lambda ledger: ledger.read(lambda c: job_facts.count_newest(c, JobFilter())),
    "newest of a task by state": lambda ledger: ledger.read(
        lambda c: job_facts.count_newest(c, JobFilter(task="tests.add"))
    ),
    "newest with a tag by state": lambda ledger: ledger.read(
        lambda c: job_facts.count_newest(c, JobFilter(tag=("tenant", "tenant-1")))
    ),
    "faults that match": lambda ledger: ledger.read(
        lambda c: matching_by_fault(c, LetterFilter(status="open", text="declined"), 20)
    ),
    "jobs behind breakers": lambda ledger: ledger.read(waiting_behind),
    "schedules": lambda ledger: ledger.read(schedule_facts.last_ticks),
    "note": lambda ledger: ledger.letters.annotate(letter(ledger), "x", ANN),
    "note on a group": lambda ledger: ledger.letters.annotate_group("f2", "x", ANN),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_whole_table(full: Ledger, name: str, request: pytest.FixtureRequest) -> None:
    if "postgresql-without" in request.node.name and name not in (*HOT, *SETTLING):
        pytest.skip("PostgreSQL gathers statistics by itself within a minute")
    recorded = record(full, STATEMENTS[name])
    assert recorded
    problems = [(problem, statement) for statement, values in recorded for problem in whole_reads(full, statement, values)]
    if name in COUNT_ALL_THAT_WAITS:
        problems = [problem for problem in problems if "ix_perdure_jobs_ready" not in problem[0]]
    assert problems == []


#: They run for people and not for jobs, and say how much there is.
COUNT_ALL_THAT_WAITS = ("bulkhead counts",)

#: The index that makes a frequent statement cheap, however many jobs there are in any state.
INDEXES = {
    "claim": "ix_perdure_jobs_ready",
    "claim since": "ix_perdure_jobs_ready",
    "claim of nothing": "ix_perdure_jobs_ready",
    "claim in a lane": "ix_perdure_jobs_ready",
    "claim of a replica": "ix_perdure_jobs_ready",
    "lanes": "ix_perdure_jobs_ready",
    "lanes, from a moment on": "ix_perdure_jobs_ready",
    "lanes behind": "ix_perdure_jobs_ready",
    "depth": "ix_perdure_jobs_ready",
    "note unknown": "ix_perdure_jobs_ready",
    "claim in doubt": "ix_perdure_jobs_r",  # what runs, and then what is ready
    "cancelling": "(worker_id=?)",  # of those that run, or of the few of them that are to stop
    "running of a worker": "ix_perdure_jobs_running",
    "running by a child": "ix_perdure_jobs_running",
    "list workers": "ix_perdure_jobs_running",
    "orphaning workers": "(worker_id=?)",
    "submit with a key that is taken": "ux_perdure_jobs_idempotency",
    "list by task": "ix_perdure_jobs_task",
    "list by tag": "ix_perdure_job_tags_lookup",
    "replays of a job": "ix_perdure_jobs_replay_of",
    "list by a tag that nobody has": "ix_perdure_job_tags_lookup",
    "dead letters by status": "ix_perdure_dead_letters_status",
    "dead letters by task": "ix_perdure_dead_letters_task",
    "dead letters by fingerprint": "ix_perdure_dead_letters_fingerprint",
    "dead letters by error": "ix_perdure_dead_letters_error_type",
    "dead letters by bulkhead": "ix_perdure_dead_letters_bulkhead",
    "dead letters by reason": "ix_perdure_dead_letters_reason",
    "dead letters by breaker": "ix_perdure_dead_letters_status",
    "letters that wait for a breaker": "ix_perdure_dead_letters_waiting",
    "a page of letters that wait for a breaker": "ix_perdure_dead_letters_waiting",
    "letters of a bulk replay": "ix_perdure_dead_letters_replayed_in",
    "dead letters by tag and status": "ix_perdure_dead_letters_status",
    "dead letters by fingerprint and status": "ix_perdure_dead_letters_status",
}


#: Those that must have their index at any moment, whatever is known of the table.
SETTLING = ("settle", "settle twice", "settle a slice", "settle and claim", "die")
#: Those that run every second or with every job.
HOT = (
    "claim",
    "claim since",
    "claim of nothing",
    "claim in a lane",
    "lanes",
    "lanes, from a moment on",
    "lanes behind",
    "depth",
    "running of a worker",
    "submit with a key that is taken",
)
#: Characters of a statement that psycopg takes apart once; a longer one it takes apart at each call.
LONGEST = 4096


@pytest.mark.parametrize("name", INDEXES)
def test_frequent_statements_use_their_index(full: Ledger, name: str) -> None:
    recorded = record(full, STATEMENTS[name])
    assert recorded
    if full.database.dialect == "postgresql" and name not in HOT:
        return  # it has statistics, and chooses as well as it can for what is common and what is rare
    for statement, values in recorded:
        assert len(statement) <= LONGEST or full.database.dialect == "sqlite"
        of_jobs = re.search(r"(FROM|UPDATE) perdure_(jobs|dead_letters)\b", statement) and "WITH new" not in statement
        is_look = statement.startswith("SELECT count(*)")  # at how common a value is: bounded, by that column's index
        if of_jobs and not is_look and "'running' GROUP BY" not in statement:
            assert INDEXES[name] in str(plan_of(full, statement, values)), statement


def test_a_claim_never_reads_the_jobs_of_its_tasks(full: Ledger) -> None:
    """A new task's jobs look few in a large ledger until its statistics are gathered again, whatever there are by then."""
    [(statement, values), *_] = record(full, lambda ledger: ledger.jobs.claim(replace(ANYBODY, tasks=("tests.new",)), 1))
    with full.database.engine.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("DROP INDEX ix_perdure_jobs_ready")
        explain = "EXPLAIN QUERY PLAN" if full.database.dialect == "sqlite" else "EXPLAIN"
        plan = str(connection.exec_driver_sql(f"{explain} {statement}", values).all())
        transaction.rollback()
    assert "ix_perdure_jobs_task" not in plan


@pytest.mark.parametrize("page", ["the first", "a further one"])
@pytest.mark.parametrize(
    ("name", "value"), [("task", "tests.add"), ("bulkhead", "critical"), ("state", JobState.SUCCEEDED)]
)
def test_a_list_reads_only_what_matches_however_common_that_is(full: Ledger, name: str, value: str, page: str) -> None:
    """PostgreSQL would read by id where many match: all that are newer, and all of them may be of another kind."""
    after = None if page == "the first" else earliest_id(1.7e9 + JOBS / 2)
    [(statement, values)] = record(full, lambda ledger: ledger.jobs.listing(limit=50, after=after, **{name: value}))
    plan = str(plan_of(full, statement, values))
    assert f"ix_perdure_jobs_{name}" in plan
    assert "SCAN perdure_jobs" not in plan
    if full.database.dialect == "postgresql" and after is not None:
        assert "ROW(" in plan  # where it begins: the pages before are passed by


@pytest.mark.parametrize("page", ["the first", "a further one", "the oldest"])
@pytest.mark.parametrize(
    ("name", "value", "index"),
    [
        ("task", "tests.add", "task"),
        ("bulkhead", "critical", "bulkhead"),
        ("status", "replayed", "status"),
        ("reason", "exhausted", "reason"),
        ("error", "E1", "error_type"),
        ("fingerprint", "f2", "fingerprint"),
        ("breaker", "payments", "breaker"),
    ],
)
def test_a_page_of_letters_reads_only_what_matches_however_common_that_is(
    full: Ledger, name: str, value: str, index: str, page: str
) -> None:
    filters: dict[str, Any] = {name: value}
    which = LetterFilter(**filters)
    after, oldest_first = earliest_id(1.7e9 + JOBS / 2) if page == "a further one" else None, page == "the oldest"
    recorded = record(full, lambda ledger: ledger.letters.page(which, limit=50, after=after, oldest_first=oldest_first))
    [plan] = [str(plan_of(full, statement, values)) for statement, values in recorded]
    assert f"ix_perdure_dead_letters_{index}" in plan
    assert "SCAN perdure_dead_letters" not in plan
    if full.database.dialect == "postgresql" and after is not None:
        assert "ROW(" in plan


def test_a_slice_is_settled_without_comparing_each_job_with_each(full: Ledger) -> None:
    claims = claim_new(full, 40)
    [(statement, values), *_] = record(full, lambda ledger: ledger.jobs.settle_all([(claim, SUCCEED) for claim in claims]))
    plan = str(plan_of(full, statement, values))
    assert "Join Filter" not in plan
    assert "Hash Join" in plan or full.database.dialect == "sqlite"


def test_a_look_at_many_lanes_reads_a_few_rows_of_each(full: Ledger) -> None:
    """Also where a ledger is small and PostgreSQL knows nothing of it: to read all of it seems cheap then."""
    bulkhead = new_id()
    full.jobs.submit([job(number, bulkhead=bulkhead, limit_key=f"k{number}") for number in range(40)])
    [(statement, values)] = record(full, lambda ledger: ledger.jobs.lanes(bulkhead))
    plan = str(plan_of(full, statement, values))
    assert "Hash" not in plan
    assert "SCAN perdure_jobs" not in plan


@pytest.mark.parametrize(
    ("ended", "is_emptied_known"), [(None, False), (None, True), (100, False), (3_000, False), (3_000, True)], ids=str
)
def test_plans_that_were_made_for_a_small_table_read_little_of_a_full_one(
    postgres_url: str, ended: int | None, is_emptied_known: bool
) -> None:
    """Prepared statements keep their plans; here what they read is counted, because EXPLAIN would plan anew.

    They are planned anew when statistics are gathered, which autovacuum may do just when the table is empty: PostgreSQL
    takes it to be so for a minute then, however it grows.
    """
    ledger = Ledger(postgres_url)
    ledger.upgrade()
    if ended is not None:
        fill(ledger, ended, statistics=True)

    def each() -> None:
        for what, work in STATEMENTS.items():
            if what.startswith(OWN):
                work(ledger)

    for _ in range(12):  # psycopg prepares the sixth time, and the server keeps a plan from the sixth of those on
        each()
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        others = "datname = current_database() AND backend_type = 'client backend'"
        sessions = partial(_one, connection, f"SELECT count(*) FROM pg_stat_activity WHERE {others}")
        before = sessions()
        elsewhere = Ledger(postgres_url)
        with elsewhere.transaction() as other:
            for table in jobs.metadata.tables.values():
                other.execute(table.delete())
        if is_emptied_known:
            connection.execute("ANALYZE")
        fill(elsewhere, JOBS, statistics=False)
        for _ in range(0, JOBS, 5_000):
            elsewhere.jobs.submit([job(number) for number in range(5_000)])
        elsewhere.close()  # a session reports its counts at its end, if not before
        wait_until(lambda: sessions() == before)
        read = _read(connection)
        for _ in range(12):
            each()
        ledger.close()
        wait_until(lambda: sessions() == 1)
        assert _read(connection) - read < JOBS  # to read all of them by one statement would be twelve times as many


def _read(connection: psycopg.Connection[Any]) -> int:
    """Return how many jobs were read so far, by an index or without one."""
    return _one(
        connection,
        """
        SELECT (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'perdure_jobs')
            + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'perdure_jobs')
        """,
    )


def _one(connection: psycopg.Connection[Any], query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_a_slice_takes_as_many_statements_whatever_its_size(ledger: Ledger) -> None:
    """One that claims and one that settles on PostgreSQL, two more and a transaction on SQLite."""
    for size in (1, 10, 100):
        ledger.jobs.submit([job(number) for number in range(size)])
        counted = count_statements(ledger, partial(run_slice, ledger, size))
        assert counted == (2 if ledger.database.dialect == "postgresql" else 4)


def run_slice(ledger: Ledger, size: int) -> None:
    assert ledger.jobs.settle_all([(claim, SUCCEED) for claim in ledger.jobs.claim(ANYBODY, size)]).lost == {}


def count_statements(ledger: Ledger, work: Callable[[], object]) -> int:
    """How many statements some work sends, without BEGIN and COMMIT."""
    sent: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(ledger.database.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(ledger.database.engine, "before_cursor_execute", note)
    return sum(not statement.startswith("BEGIN") for statement in sent)


def record(ledger: Ledger, work: Callable[[Ledger], object]) -> list[tuple[str, Any]]:
    """Return the statements that `work` runs, with their parameters."""
    recorded: dict[str, Any] = {}

    def note(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, executemany: bool) -> None:
        recorded[statement] = values[0] if executemany else values

    event.listen(ledger.database.engine, "before_cursor_execute", note)
    try:
        work(ledger)
    finally:
        event.remove(ledger.database.engine, "before_cursor_execute", note)
    return [(statement, values) for statement, values in recorded.items() if not statement.startswith("BEGIN")]


def plan_of(ledger: Ledger, statement: str, values: Any) -> Any:
    """Return the steps of SQLite's plan, or the tree of PostgreSQL's."""
    with ledger.database.engine.connect() as connection:
        if ledger.database.dialect == "sqlite":
            return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        [tree] = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalars()
        return tree[0]["Plan"]


def whole_reads(ledger: Ledger, statement: str, values: Any) -> list[str]:
    plan = plan_of(ledger, statement, values)
    return sqlite_reads(plan, bounded="LIMIT" in statement) if isinstance(plan, list) else postgres_reads(plan)


def sqlite_reads(plan: list[str], *, bounded: bool) -> list[str]:
    """A scan of a table or of an index of all its rows; in the order of the list and with a LIMIT that is a page."""
    in_order = not any("TEMP B-TREE FOR ORDER BY" in step for step in plan)
    wrong = []
    for step in plan:
        scanned = re.match(r"SCAN (\w+)(.*)", step)
        if scanned is None or scanned[1] not in BIG_TABLES | ALIASES:
            continue
        small = any(index in scanned[2] for index in SMALL_INDEXES)
        if not small and not (bounded and in_order and "INDEX" in scanned[2]):
            wrong.append(step)
    if bounded and not in_order and any("ix_perdure_jobs_state" in step or "ix_perdure_jobs_task" in step for step in plan):
        wrong.append(f"sorts what it found: {plan}")
    return wrong


def postgres_reads(node: dict[str, Any]) -> list[str]:
    wrong = []
    if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in BIG_TABLES:
        wrong.append(f"Seq Scan on {node['Relation Name']}: {node.get('Filter')}")
    for inner in node.get("Plans", []):
        wrong += postgres_reads(inner)
    return wrong

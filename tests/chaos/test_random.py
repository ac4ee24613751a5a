"""Misfortune for a while: processes are killed, stopped and restarted at random while jobs run. Then all adds up.

The seed is printed; give it as ``CHAOS_SEED`` to repeat the same sequence (the processes' own timing stays free).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import redis

from perdure import JobHandle
from perdure.broker.queues import MOST, queue_name
from perdure.ledger.jobs.read import outcomes_by_fence
from support.cluster import Cluster, Running
from support.invariants import check_checkpoints, check_fences, check_outcomes, check_side_by_side
from support.model.histories import History, contradiction
from support.model.model import SOUND
from support.thorough import part_of
from support.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.both_ledgers, pytest.mark.timeout(300)]

SECONDS = float(os.environ.get("CHAOS_SECONDS", part_of(40)))
JOBS = 1000
LONG_JOBS = 12
STEPS = 60
WORKERS = 3
#: Of the platform's faults, none gives a job up here.
MAX_CRASHES = 50


@dataclass
class Misfortune:
    """What happens to a platform, drawn from a seeded source."""

    cluster: Cluster
    redis_url: str
    rng: random.Random
    workers: list[Running] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    _made: int = 0

    def start_worker(self) -> None:
        name = f"w{self._made}"
        self._made += 1
        self.workers.append(self.cluster.start("worker", "normal", "-c", "2", "-n", name, name=name))

    def strike(self) -> None:
        what = self.rng.choices([strike for strike, _ in self._strikes()], [weight for _, weight in self._strikes()])[0]
        what()
        self.happened.append(what.__name__)
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        while len(self.workers) < WORKERS:
            self.start_worker()

    def _strikes(self) -> list[tuple[Callable[[], None], int]]:
        often = [(self.kill_child, 4), (self.flush, 2), (self.steal_bells, 2)]
        return [*often, (self.kill_worker, 1), (self.drain_worker, 1), (self.freeze_worker, 1)]

    def kill_child(self) -> None:
        children = self._any_worker().children()
        if children:
            os.kill(self.rng.choice(children), signal.SIGKILL)

    def kill_worker(self) -> None:
        self._any_worker().kill()

    def drain_worker(self) -> None:
        worker = self._any_worker()
        worker.signal(signal.SIGTERM)
        self.workers.remove(worker)  # it ends by itself; another takes its place

    def freeze_worker(self) -> None:
        worker = self._any_worker()
        worker.stop_whole()
        # Frozen inside a write to SQLite it holds up everybody, so that nobody can judge it: then it just goes on.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._state_of(worker) in ("failed", None), 5, interval=0.1)
        worker.continue_whole()

    def flush(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def steal_bells(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.rpop(queue_name("normal"), MOST)

    def _state_of(self, worker: Running) -> str | None:
        records = self.cluster.app.workers.list(all_states=True)
        return next((record.state for record in records if record.pid == worker.pid), None)

    def _any_worker(self) -> Running:
        return self.rng.choice([worker for worker in self.workers if worker.process.poll() is None])


def test_every_invariant_after_random_misfortune(
    make_cluster: Callable[..., Cluster], ledger_url: str, redis_url: str
) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))
    print(f"CHAOS_SEED={seed}")
    cluster = make_cluster(
        ledger_url,
        redis_url,
        max_crashes=str(MAX_CRASHES),
        max_hand_backs="50",
        heartbeat_interval="0.4",
        drain_timeout="3",
    )
    misfortune = Misfortune(cluster, redis_url, random.Random(seed))
    for _ in range(WORKERS):
        misfortune.start_worker()
    for worker in misfortune.workers:
        cluster.await_ready(worker)
    jobs, long = submit_all(cluster)

    end = time.monotonic() + SECONDS / 2  # for each of the two databases
    while time.monotonic() < end:
        misfortune.strike()
        time.sleep(misfortune.rng.uniform(0.1, 1.0))  # the pace of misfortune, not a wait for anything

    everything = [*jobs, *long]
    wait_until(lambda: unfinished(cluster) == 0, 120, interval=0.5, message=lambda: report(cluster, misfortune, everything))
    check_invariants(cluster, everything, long)


def submit_all(cluster: Cluster) -> tuple[list[JobHandle[Any]], list[JobHandle[Any]]]:
    long = cluster.app.task("march").submit_many([(STEPS, 0.05)] * LONG_JOBS)
    quick = cluster.app.task("quick").submit_many([()] * (JOBS // 2))
    naps = cluster.app.task("nap").submit_many([(0.02,)] * (JOBS // 2 - LONG_JOBS))
    return [*quick, *naps], long


def unfinished(cluster: Cluster) -> int:
    counts = cluster.app.jobs.count()
    return sum(counts.get(state, 0) for state in ("scheduled", "queued", "running", "retrying"))


def report(cluster: Cluster, misfortune: Misfortune, jobs: list[JobHandle[Any]]) -> str:
    stuck = [job for job in jobs if not job.state.is_final][:3]
    told = [
        (job.record, job.attempts(), cluster.effects(job), job.refresh() and cluster.app.jobs.why(job.id)) for job in stuck
    ]
    workers = cluster.app.workers.list(all_states=True)
    return "\n".join(map(str, [cluster.app.jobs.count(), misfortune.happened, *told, *workers]))


def check_invariants(cluster: Cluster, jobs: list[JobHandle[Any]], long: list[JobHandle[Any]]) -> None:
    """Assert what the platform promises, from what the jobs wrote themselves and from the ledger."""
    assert cluster.app.jobs.count() == {"succeeded": JOBS}  # accepted jobs end, and platform faults kill none
    ended = cluster.app.ledger.read(lambda connection: outcomes_by_fence(connection, [job.id for job in jobs]))
    rows, histories = cluster.rows(), set[History]()
    for job in jobs:
        effects, outcomes = cluster.effects(job), ended[job.id]
        check_outcomes([*outcomes.values()])
        check_fences(effects, outcomes)
        check_side_by_side(effects, outcomes)
        histories.add(History.of(effects, outcomes, (rows[job.id].state, rows[job.id].fence, rows[job.id].crashes)))
    print(
        f"{len(histories)} different histories, {sum(history.fence > 1 for history in histories)} of them of several claims"
    )
    rules = replace(SOUND, max_crashes=MAX_CRASHES)
    assert [told for history in histories if (told := contradiction(history, rules))] == []
    for job in long:
        check_checkpoints(cluster.effects(job))

"""What is promised of a simulated platform: at each moment, and of every job once it has ended."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, text

from perdure.admission.holder import holder_of
from perdure.model.states import FINAL_STATES
from support.invariants import check_checkpoints, check_fences, check_side_by_side
from support.simulation.parts import BREAKER, SETTINGS, TASKS
from support.simulation.world import World

_OF_JOB = "id, state, task, attempt, crashes, fence, checkpoint_seq, dead_letter_id, replay_of"
_JOBS = text(f"SELECT {_OF_JOB} FROM perdure_jobs ORDER BY id")
_ATTEMPTS = text("SELECT job_id, number, outcome FROM perdure_attempts ORDER BY job_id, number")
_EFFECTS = text("SELECT number FROM effects WHERE job_id = :job ORDER BY number")
_LETTERS = text("SELECT job_id FROM perdure_dead_letters")
#: Outcomes for which a job's own attempt counter goes up.
_BURNED = ("succeeded", "failed", "timeout", "crashed", "cancelled")


def check_now(world: World) -> None:
    """Permits are held by all those who run, within the limit; and a breaker on trial lets one call through."""
    nodes = [node for node in (*world.nodes, *world.ghosts) if node.held]
    running = [(node.leased, node.running) for node in nodes if node.running is not None]
    for name, permits in world.app.limits.permits.items():
        gone = permits.held.keys() - {holder_of(claim) for _, claim in running}
        assert not gone, f"permits of {name} are held by processes that are gone: {gone}"
    held = {holder for permits in world.app.limits.permits.values() for holder in permits.held}
    limited = {holder_of(claim) for leased, claim in running if leased and claim.limit_key is not None}
    assert limited <= held, f"jobs run without a permit: {limited - held}"
    for kind, count in Counter(claim.task for leased, claim in running if leased).items():
        limit = TASKS[kind].limit
        assert limit is None or count <= limit, f"{count} jobs of {kind} run at once"
    for node in nodes:
        assert all(claim.bulkhead == node.bulkhead for claim in node.held), f"a worker of {node.bulkhead} took other jobs"
    assert world.app.breaker.trials() <= BREAKER.half_open_permits, "too many trial calls at once"


def check_end(world: World) -> None:
    """Every job has ended, by the outcomes of its attempts and by nothing else."""
    jobs, attempts, letters, replays = world.ledger.read(_records)
    left = [row.state for row in jobs.values() if row.state not in FINAL_STATES]
    assert not left, f"{len(left)} jobs have not ended"
    assert jobs.keys() == world.jobs.keys(), "there are other jobs than were submitted"
    for job, row in jobs.items():
        of_job = attempts.get(job, {})
        _check_counts(row, Counter(of_job.values()))
        crashed = {fence for fence, outcome in of_job.items() if outcome == "crashed"}
        assert crashed == world.crashed[job], f"crashes are counted of claims {crashed}, and were of {world.crashed[job]}"
        _check_state(world, row, list(of_job.values()), letters[job])
        _check_effects(world, job, row, of_job)
        assert replays[job] <= 1, "a dead letter was replayed twice"
        assert all(call == world.submitted[job] for call in world.given[job]), "it was given what was not submitted"
        if row.task == "exact":
            _check_once(world, job, row.checkpoint_seq)


def _check_once(world: World, job: str, checkpoint: int) -> None:
    numbers = world.ledger.read(lambda c: list(c.execute(_EFFECTS, {"job": job}).scalars()))
    assert numbers == list(range(1, checkpoint + 1)), f"it has made effects {numbers} and is at checkpoint {checkpoint}"


def _records(connection: Connection) -> tuple[Any, ...]:
    rows = connection.execute(_JOBS).all()
    attempts: dict[str, dict[int, str]] = {}
    for job, number, outcome in connection.execute(_ATTEMPTS):
        attempts.setdefault(job, {})[number] = outcome
    letters: Counter[str] = Counter()
    if any(row.dead_letter_id for row in rows):
        letters.update(connection.execute(_LETTERS).scalars())
    return {row.id: row for row in rows}, attempts, letters, Counter(row.replay_of for row in rows)


def _check_counts(row: Any, outcomes: Counter[str]) -> None:
    assert row.crashes == outcomes["crashed"], f"{row.crashes} crashes are counted, {outcomes['crashed']} happened"
    burned = sum(outcomes[outcome] for outcome in _BURNED)
    # A job that was cancelled while it waited has no attempt for that.
    assert row.attempt == burned, f"{row.attempt} attempts are counted, {burned} burned"


def _check_state(world: World, row: Any, outcomes: list[str], letters: int) -> None:
    assert outcomes.count("succeeded") == (row.state == "succeeded"), f"{row.state}, after {outcomes}"
    assert letters == (row.state == "dead"), f"{row.state}, with {letters} dead letters"
    if row.state == "succeeded":
        assert outcomes[-1] == "succeeded", f"succeeded, after {outcomes}"
    elif row.state == "cancelled":
        assert row.id in world.cancelled, "cancelled, and nobody asked for that"
    else:
        crashed, failed = outcomes.count("crashed"), outcomes.count("failed")
        retries = TASKS[row.task].retry.max_retries
        assert crashed == SETTINGS.max_crashes or failed == retries + 1, f"dead, after {outcomes}"
    assert outcomes.count("crashed") <= SETTINGS.max_crashes, f"it crashed on, after {outcomes}"


def _check_effects(world: World, job: str, row: Any, outcomes: dict[int, str]) -> None:
    effects = world.effects[job]
    succeeded = [fence for fence, outcome in outcomes.items() if outcome == "succeeded"]
    ended = {effect.fence for effect in effects if effect.what == "end"}
    assert ended.issuperset(succeeded), "it succeeded under a fence whose run did not end"
    last = max((effect.fence for effect in effects), default=0)
    assert last <= world.cancelled.get(job, last), "it began anew after it was cancelled"
    check_side_by_side(effects, outcomes)
    check_checkpoints(effects)
    if outcomes and row.state != "cancelled":
        check_fences(effects, outcomes)

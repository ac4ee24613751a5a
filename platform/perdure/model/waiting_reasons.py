"""Why a job is not running now, in words: a pure function of the facts that the workers act on."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from perdure.model.states import JobState


class Facts(Struct, frozen=True):
    """What the ledger knows of a job and of what stands before it. Times are epoch seconds of the ledger's clock.

    Attributes:
        state: The job's state.
        task: Its task.
        bulkhead: Its bulkhead.
        now: The ledger's time.
        run_at: When it is to run, for a job that waits for its time.
        unknown_since: Since when workers have met it that do not know its task.
        deadline: The moment after which it must not run.
        cancel_requested: Whether it was asked to stop.
        snoozes: How often it was put off.
        crashes: How often its worker was lost.
        error: The last attempt's error.
        worker: Who runs it.
        paused_by: Who paused its bulkhead; None when it is not paused.
        pause_reason: Why the bulkhead is paused.
        workers: Live workers of its bulkhead that take jobs.
        slots: Children of those workers.
        running: Jobs that run on its bulkhead.
        limit: The most that may run there at once; None for no bound.
        ahead: Jobs of its lane that come before it.
        breaker: The circuit breaker that guards it.
        breaker_wait: Seconds until that lets a call through; None when it does now.
        task_limit: The most of its key that may run at once; None for no bound.
        task_active: How many of its key run.
        unvoted: Replicas of its vote that wait for a worker.
        voters: Workers that may take one: live, not barred, and without a replica of this vote.
        barred: Live workers that were outvoted too often to take one.
        limit_key: Which key of a limit it counts for; None when no limit bounds it.
    """

    state: JobState
    task: str
    bulkhead: str
    now: float
    run_at: float | None = None
    unknown_since: float | None = None
    deadline: float | None = None
    cancel_requested: bool = False
    snoozes: int = 0
    crashes: int = 0
    error: str | None = None
    worker: str | None = None
    paused_by: str | None = None
    pause_reason: str | None = None
    workers: int = 0
    slots: int = 0
    running: int = 0
    limit: int | None = None
    ahead: int = 0
    breaker: str | None = None
    breaker_wait: float | None = None
    limit_key: str | None = None
    task_limit: int | None = None
    task_active: int = 0
    unvoted: int = 0
    voters: int = 0
    barred: tuple[str, ...] = ()


class Reason(Struct, frozen=True):
    """One reason: a code for scripts, and a sentence for people."""

    code: str
    text: str


def explain(facts: Facts) -> list[Reason]:
    """Return why a job is not running, the strongest reason first."""
    if facts.state.is_final:
        return [Reason(facts.state.value, _ended(facts))]
    if facts.state is JobState.RUNNING:
        stopping = ", and was asked to stop" if facts.cancel_requested else ""
        return [Reason("running", f"It is running on {facts.worker}{stopping}.")]
    if facts.state is not JobState.QUEUED:
        return [_not_due(facts), *_obstacles(facts)]
    return _obstacles(facts) or [_in_line(facts)]


def _ended(facts: Facts) -> str:
    return f"It ended as {facts.state}" + (f": {facts.error}" if facts.error else ".")


def _not_due(facts: Facts) -> Reason:
    wait = max(0.0, (facts.run_at or facts.now) - facts.now)
    when = f"in {wait:.1f} s, at {_clock(facts.run_at or facts.now)}"
    if facts.state is JobState.SCHEDULED:
        return Reason("scheduled", f"It is scheduled to run {when}.")
    last = f" Last: {facts.error}" if facts.error else ""
    if facts.snoozes:
        return Reason("snoozed", f"It was put off (for the {_nth(facts.snoozes)} time) and runs again {when}.{last}")
    return Reason("retrying", f"Its last attempt failed and it runs again {when}.{last}")


def _obstacles(facts: Facts) -> list[Reason]:
    found = []
    if facts.deadline is not None and facts.deadline <= facts.now:
        found.append(Reason("expired", f"Its deadline passed at {_clock(facts.deadline)}: it will not run any more."))
    if facts.paused_by is not None:
        why = f" ({facts.pause_reason})" if facts.pause_reason else ""
        found.append(
            Reason(
                "paused",
                f"Bulkhead {facts.bulkhead} was paused by {facts.paused_by}{why}. "
                f"Resume it: perdure bulkheads resume {facts.bulkhead}",
            )
        )
    if facts.workers == 0:
        found.append(
            Reason("no_worker", f"No worker serves bulkhead {facts.bulkhead}. Start one: perdure worker {facts.bulkhead}")
        )
    if facts.voters < facts.unvoted:
        barred = f" Barred are {', '.join(facts.barred)}: perdure workers trust NAME." if facts.barred else ""
        found.append(
            Reason(
                "no_voter",
                f"{facts.unvoted} of its vote's replicas wait for a worker of their own in bulkhead {facts.bulkhead}, and "
                f"{facts.voters} can take one: {facts.unvoted - facts.voters} missing.{barred} "
                f"Start another: perdure worker {facts.bulkhead} -n NAME",
            )
        )
    if facts.unknown_since is not None:
        since = facts.now - facts.unknown_since
        found.append(
            Reason(
                "unknown_task",
                f"For {since:.0f} s workers have met it that do not know task {facts.task!r}: "
                "it may be of a newer release. Deploy it, or it becomes a dead letter.",
            )
        )
    if facts.breaker_wait is not None:
        found.append(
            Reason(
                "breaker",
                f"Circuit breaker {facts.breaker!r} is open; its next try is in {facts.breaker_wait:.1f} s. "
                f"See: perdure breakers list; to let calls through now: perdure breakers reset {facts.breaker}",
            )
        )
    if facts.task_limit is not None and facts.task_active >= facts.task_limit:
        of_key = f" of key {facts.limit_key!r}" if facts.limit_key else ""
        found.append(Reason("task_limit", f"{facts.task}{of_key} runs {facts.task_active} jobs in all workers, its limit."))
    if facts.limit is not None and facts.running >= facts.limit:
        found.append(Reason("limit", f"Bulkhead {facts.bulkhead} runs {facts.running} jobs, its limit."))
    return found


def _in_line(facts: Facts) -> Reason:
    if facts.limit_key is not None and facts.running < facts.slots:
        return Reason("rate", "It waits for room within its limit, or for its rate.")
    if facts.ahead:
        busy = f"{facts.running} of {facts.slots} places are taken"
        return Reason("waiting", f"{facts.ahead} jobs of bulkhead {facts.bulkhead} are before it; {busy}.")
    if facts.running >= facts.slots:
        return Reason("busy", f"It is next; the places of bulkhead {facts.bulkhead} are taken ({facts.slots} in all).")
    return Reason("next", "It is next: a worker should take it now.")


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _nth(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{suffix}"

"""Active replication: a job's function runs on several workers, and the majority of their results is the job's.

The job itself only asks and counts: at its first attempt it submits its replicas, jobs of their own that a unique index
keeps on different workers; then it waits, snoozed, and is woken by each replica that ends.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from perdure.errors import JobCancelled
from perdure.manage.cancelling import OF_CANCELLED
from perdure.model.ids import new_id
from perdure.model.new_job import NewJob
from perdure.model.records import Claim, Death, JobRecord, Settlement
from perdure.model.replication import Answer, Verdict, VerdictKind, majority
from perdure.model.states import DeadReason, JobState, Outcome, Transition
from perdure.model.storage_errors import MissingKey, StoreError, StoreUnavailable
from perdure.model.text.cut import cut
from perdure.model.text.fingerprint import fingerprint

if TYPE_CHECKING:
    from perdure import Perdure, Task

logger = logging.getLogger("perdure.replicas")

#: Seconds after which a job looks at its replicas though none has woken it.
POLL = 5.0
#: Seconds that replicas get to answer after a majority has: so that those that disagree can be named.
GRACE = 2.0
#: Longest answer that is shown where replicas disagree, in characters.
MAX_SHOWN = 2000


def coordinate(app: Perdure, claim: Claim, task: Task[..., Any]) -> Settlement:
    """Return how an attempt of a replicated job ends: it waits for its replicas, or has their verdict.

    Raises:
        LedgerUnavailable: The database went away; safe to repeat.
        JobCancelled: The job was cancelled while this attempt ran; so are its replicas.
        LeaseLost: Another worker has the job now.
        MissingKey, StoreUnavailable: The arguments or an answer cannot be read now.
        StoreError: The arguments cannot be read at all.
    """
    if app.ledger.running.standing(claim.job_id, claim.fence).cancel_requested:
        app.jobs.cancel_replicas(claim.job_id, OF_CANCELLED)
        raise JobCancelled(f"job {claim.job_id} was cancelled")
    replicas = _ask(app, claim, task)
    ended = [replica for replica in replicas if replica.state.is_final]
    answers = {_name(replica): _answer(app, replica) for replica in ended}
    verdict = majority(answers, task.replicas)
    waits = verdict.kind is VerdictKind.UNDECIDED
    if not waits and len(ended) < task.replicas:
        newest = max((r.finished_at.timestamp() for r in ended if r.finished_at), default=claim.started_at)
        waits = verdict.kind is VerdictKind.MAJORITY and claim.started_at - newest < GRACE
    if waits:
        delay = POLL if verdict.kind is VerdictKind.UNDECIDED else GRACE
        told = f"{len(ended)} of {task.replicas} replicas have answered"
        return Settlement(Transition.SNOOZE, Outcome.SNOOZED, burns=False, delay=delay, error=told)
    app.jobs.cancel_replicas(claim.job_id, "the other replicas have decided")
    if verdict.kind is VerdictKind.MAJORITY:
        for name in verdict.disagreeing:
            app.workers.outvoted(name, f"its answer in {task.name} {claim.job_id} is not the majority's")
    return _settled(verdict, answers, task)


def answered(settlement: Settlement) -> Settlement:
    """Return how a replica ends: its final failure is an answer to be counted and no dead letter of its own."""
    if settlement.transition is not Transition.DIE:
        return settlement
    return replace(settlement, transition=Transition.SUCCEED, result=None, death=None)


def _ask(app: Perdure, claim: Claim, task: Task[..., Any]) -> list[JobRecord]:
    """Return the job's replicas; those that are missing are submitted, once however often this is repeated."""
    replicas = app.ledger.running.replicas_of(claim.job_id)
    if len(replicas) < task.replicas:
        app.submitter.submit_new([_replica(app, claim, number) for number in range(task.replicas)])
        replicas = app.ledger.running.replicas_of(claim.job_id)
    return replicas


def _replica(app: Perdure, claim: Claim, number: int) -> NewJob:
    task, vault = app.task(claim.task), app.ledger.vault
    args, kwargs = vault.call_of(claim)
    payload = task.signature.check_stored(msgspec.json.decode(args), msgspec.json.decode(kwargs))
    new = NewJob(
        id=new_id(),
        task=claim.task,
        bulkhead=claim.bulkhead,
        args=args,
        kwargs=kwargs,
        payload_digest=payload.digest,
        priority=claim.priority,
        idempotency_key=f"replica:{claim.job_id}:{number}",
        idempotency_ttl=app.settings.idempotency_ttl,
        deadline=claim.deadline,
        timeout=claim.timeout,
        replica_of=claim.job_id,
        breaker=task.breaker,
        limit_key=claim.limit_key,
    )
    return vault.new_job(new)


def _name(replica: JobRecord) -> str:
    return replica.worker or replica.id


def _answer(app: Perdure, replica: JobRecord) -> Answer:
    if replica.state is not JobState.SUCCEEDED or replica.error_type is not None:
        return Answer(error=f"{replica.error_type}: {replica.error}")
    text = replica.result_json or "null"
    if "result" in replica.unopened:  # a worker without the key, or a store that is away, is no vote against it
        try:
            text = app.ledger.vault.get(text, "result", replica.id, replica.task)
        except (MissingKey, StoreUnavailable):
            raise
        except StoreError as error:
            return Answer(error=f"{type(error).__name__}: {error}")
    return Answer(result=msgspec.json.decode(text))


def _settled(verdict: Verdict, given: Mapping[str, Answer], task: Task[..., Any]) -> Settlement:
    answers = "; ".join(f"{name}: {_shown(answer)}" for name, answer in given.items())
    if verdict.kind is VerdictKind.MAJORITY:
        odd = [*verdict.disagreeing, *verdict.failed]
        told = None
        if odd:
            told = f"{len(verdict.agreeing)} of {task.replicas} replicas agree; not: {', '.join(odd)}"
            logger.error("%s: %s", task.name, told)  # the answers may be secret
            told = f"{told}. Answers: {answers}"
        result = msgspec.json.encode(verdict.result).decode()
        return Settlement(Transition.SUCCEED, Outcome.SUCCEEDED, result=result, error=told)
    death = Death(DeadReason.NO_QUORUM, fingerprint(task.name, "NoQuorum", "no quorum", []))
    told = f"no {task.replicas // 2 + 1} of {task.replicas} replicas agree. Answers: {answers}"
    return Settlement(Transition.DIE, Outcome.FAILED, error_type="NoQuorum", error=told, death=death)


def _shown(answer: Answer) -> str:
    if answer.error is not None:
        return answer.error
    return cut(msgspec.json.encode(answer.result).decode(), MAX_SHOWN)

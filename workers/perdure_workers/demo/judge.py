"""Judging a demo: which promises were kept, by the evidence alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perdure import JobState
from perdure.model.records import JobRecord
from perdure_workers.demo.checks import Verified
from perdure_workers.demo.drill import Accident
from perdure_workers.demo.summary import Summary

#: A killed worker's job must run again within so many seconds: the lease and the restart of the worker.
RESUME_WITHIN_S = 15.0
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found when all was over.

    Attributes:
        submitted: How many jobs were submitted.
        jobs: What the ledger has of them.
        accident: The kill, if it came to that.
        archive: The archive job's result; empty if it has none.
        verified: What hashing showed of the archive.
        poison: The job whose receiver refused until it was repaired.
        replay: The job that replayed it.
        deliveries: How many events were to be delivered.
        received: The receiver's counts; see :meth:`~perdure_workers.demo.records.Records.report`.
        good_rows: Rows that belong in the table.
        bad_rows: Rows that do not.
        rows: Rows in the table, and different ones among them.
        rejected: Rows that the imports set aside.
    """

    submitted: int
    jobs: list[JobRecord]
    accident: Accident | None
    archive: dict[str, Any]
    verified: Verified | None
    poison: JobRecord
    replay: JobRecord | None
    deliveries: int
    received: dict[str, int]
    good_rows: int
    bad_rows: int
    rows: tuple[int, int]
    rejected: int


def judge(found: Evidence) -> Summary:
    """Return the summary of a demo."""
    summary = Summary(_facts(found))
    _ends(summary, found)
    _resumption(summary, found.accident)
    _checkpoint(summary, found)
    _retries(summary, found)
    _dead_letter(summary, found)
    _webhooks(summary, found)
    _rows(summary, found)
    _archive(summary, found)
    return summary


def _facts(found: Evidence) -> dict[str, Any]:
    states = [job.state for job in found.jobs]
    accident, resumed = found.accident, found.archive.get("resumed")
    return {
        "submitted": found.submitted,
        "succeeded": states.count(JobState.SUCCEEDED),
        "retried": sum(job.attempt > 1 for job in found.jobs),
        "dead_letters": states.count(JobState.DEAD),
        "replayed": int(found.replay is not None),
        "duplicates": _duplicates(found),
        "killed": f"worker {accident.worker} (pid {accident.pid})" if accident else "nothing",
        "seconds_from_kill_to_resumption": accident.seconds if accident else None,
        "resumed_from": _point(resumed[0], found.archive["bytes"]) if resumed else None,
        "archive": found.archive.get("archive"),
    }


def _duplicates(found: Evidence) -> int:
    rows, different = found.rows
    return found.received["accepted_twice"] + found.received["events_twice"] + rows - different


def _point(resumption: dict[str, Any], total: int) -> str:
    return f"{resumption['files']} files, {resumption['bytes'] / _MB:.1f} of {total / _MB:.1f} MB"


def _ends(summary: Summary, found: Evidence) -> None:
    unhappy = [job for job in found.jobs if job.state is not JobState.SUCCEEDED and job.id != found.poison.id]
    shown_by = f"{found.submitted} submitted, {len(found.jobs)} in the ledger, {len(unhappy)} did not succeed"
    for job in unhappy[:3]:
        shown_by += f"; {job.task} {job.id} is {job.state} ({job.error})"
    is_kept = len(found.jobs) == found.submitted and not unhappy and found.poison.state.is_final
    summary.promise("every accepted job ends, and succeeds if it can", is_kept=is_kept, shown_by=shown_by)


def _resumption(summary: Summary, accident: Accident | None) -> None:
    seconds = accident.seconds if accident else None
    if seconds is None:
        shown_by = "nothing was killed" if accident is None else "the job did not run again"
    else:
        shown_by = f"{seconds:.1f} s after kill -9"
    is_kept = seconds is not None and seconds <= RESUME_WITHIN_S
    summary.promise(f"a killed worker's job runs again within {RESUME_WITHIN_S:.0f} s", is_kept=is_kept, shown_by=shown_by)


def _checkpoint(summary: Summary, found: Evidence) -> None:
    resumed: list[dict[str, Any]] = found.archive.get("resumed", [])
    safe = found.accident.safe_bytes if found.accident else 0
    shown_by = "the archive was not resumed"
    if resumed:
        shown_by = f"{safe / _MB:.1f} MB were safe before the kill, resumed at {_point(resumed[0], found.archive['bytes'])}"
    is_kept = resumed != [] and resumed[0]["bytes"] >= safe > 0
    summary.promise("it goes on from its checkpoint", is_kept=is_kept, shown_by=shown_by)


def _retries(summary: Summary, found: Evidence) -> None:
    refused = sum(found.received.get(fault, 0) for fault in ("503", "500", "dropped", "lost"))
    retried = sum(job.attempt > 1 and job.state is JobState.SUCCEEDED for job in found.jobs)
    summary.promise(
        "a failed attempt is tried again",
        is_kept=refused > 0 and retried > 0,
        shown_by=f"the receiver failed {refused} times; {retried} jobs succeeded at a later attempt",
    )


def _dead_letter(summary: Summary, found: Evidence) -> None:
    replayed = found.replay.state if found.replay else "missing"
    summary.promise(
        "what cannot succeed waits as a dead letter until it is replayed",
        is_kept=found.poison.state is JobState.DEAD and replayed is JobState.SUCCEEDED,
        shown_by=f"{found.poison.state} after {found.poison.attempt} attempts; its replay after the repair: {replayed}",
    )


def _webhooks(summary: Summary, found: Evidence) -> None:
    got = found.received
    twice = got["accepted_twice"] + got["events_twice"]
    summary.promise(
        "each webhook arrives with a true signature and does its work once",
        is_kept=got["effects"] == found.deliveries and twice == got["forged"] == 0,
        shown_by=f"{got['requests']} requests for {found.deliveries} events: {got['effects']} done, {twice} done twice, "
        f"{got['recognised']} repeated after a lost answer and recognised, {got['forged']} badly signed",
    )


def _rows(summary: Summary, found: Evidence) -> None:
    rows, different = found.rows
    summary.promise(
        "each row is imported exactly once, each bad row is set aside",
        is_kept=rows == different == found.good_rows and found.rejected == found.bad_rows,
        shown_by=f"{rows} of {found.good_rows} rows, {rows - different} twice; "
        f"{found.rejected} of {found.bad_rows} bad ones set aside",
    )


def _archive(summary: Summary, found: Evidence) -> None:
    verified = found.verified
    shown_by = "there is no archive"
    if verified is not None:
        shown_by = (
            f"{verified.files} of {found.archive['files']} files hashed in both; wrong: {verified.wrong[:3] or 'none'}"
        )
    summary.promise(
        "the archive's manifest is true of the tree and of the archive",
        is_kept=verified is not None and not verified.wrong and verified.files == found.archive["files"] > 0,
        shown_by=shown_by,
    )

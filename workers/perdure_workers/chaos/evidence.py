"""Lines that jobs and submitters write into files that the platform does not know: what is judged is what they say."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from perdure import JobContext, Perdure
from perdure_workers.chaos.history import Effect, Submission

#: Names the folder of a run in the environment of its processes; without it, it is ``chaos`` in the application's home.
FOLDER = "CHAOS_EVIDENCE"
EFFECTS, SUBMISSIONS = "effects.jsonl", "submissions.jsonl"

S = TypeVar("S", bound=msgspec.Struct)


def folder_of(app: Perdure) -> Path:
    """Return the folder into which an application's jobs write what they do."""
    return Path(os.environ.get(FOLDER) or app.settings.home_folder.path / "chaos")


def note(folder: Path, ctx: JobContext, what: str, key: str, number: int = 0, digest: str | None = None) -> None:
    """Write down what a job does.

    Args:
        folder: Where.
        ctx: The job's context.
        what: See :class:`~perdure_workers.chaos.history.Effect`.
        key: The job's key.
        number: A step.
        digest: Of the payload.
    """
    effect = Effect(
        what=what,
        key=key,
        job=ctx.job_id,
        fence=ctx.fence,
        pid=os.getpid(),
        at=time.monotonic(),
        number=number,
        digest=digest,
    )
    append(folder / EFFECTS, effect)


def append(file: Path, line: msgspec.Struct) -> None:
    """Write a line by one write(2) in append mode, so that lines of several processes do not mix."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(line) + b"\n")
    finally:
        os.close(descriptor)


def clear(folder: Path) -> None:
    """Remove what was written in a folder; what else is in it stays."""
    for name in (EFFECTS, SUBMISSIONS):
        (folder / name).unlink(missing_ok=True)


def effects(folder: Path) -> list[Effect]:
    """Return what jobs have written, in order of time."""
    return sorted(_lines(folder / EFFECTS, Effect), key=lambda effect: effect.at)


def submissions(folder: Path) -> list[Submission]:
    """Return what submitters have written, in order of time."""
    return sorted(_lines(folder / SUBMISSIONS, Submission), key=lambda submission: submission.at)


def _lines(file: Path, kind: type[S]) -> list[S]:
    return msgspec.json.Decoder(kind).decode_lines(file.read_bytes()) if file.exists() else []

"""A job context without a worker, for tests of what a task does with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

from perdure import JobContext
from perdure.model.ids import new_id


class RecordingContext:
    """Records progress and checkpoints; with a file, a checkpoint outlives the process as in a ledger.

    Args:
        file: Where the checkpoint is kept; memory by default.
        on_save: Called with each saved state after it was kept; raises what a worker's context would raise there.
    """

    def __init__(self, *, key: str | None = None, attempt: int = 1, file: Path | None = None, on_save: Any = None) -> None:
        self.job_id = new_id()
        self.idempotency_key = key or self.job_id
        self.attempt = attempt
        self.checkpoint = RecordingCheckpoint(file, on_save)
        self.reports: list[tuple[float, float | None, str]] = []

    @property
    def given(self) -> JobContext:
        """The same as a task's function is given it."""
        return cast(JobContext, self)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        self.reports.append((done, total, message))


class RecordingCheckpoint:
    def __init__(self, file: Path | None, on_save: Any) -> None:
        self.file, self.on_save = file, on_save
        self.saved: list[Any] = []
        if file is not None and file.exists():
            self.saved.append(json.loads(file.read_text()))

    def load(self, default: Any = None) -> Any:
        return json.loads(json.dumps(self.saved[-1])) if self.saved else default

    def save(self, state: Any) -> None:
        self.saved.append(json.loads(json.dumps(state)))
        if self.file is not None:
            temporary = self.file.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(state))
            temporary.replace(self.file)
        if self.on_save is not None:
            self.on_save(state)

    def clear(self) -> None:
        self.saved.clear()

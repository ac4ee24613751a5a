"""The demo's progress bars, drawn from what the ledger says of the jobs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from perdure.model.records import JobRecord

WEBHOOKS, IMPORTS, ARCHIVE = "webhooks.deliver", "tables.import_csv", "files.archive"
_MB = 1_000_000


class Bars:
    """One bar for each task; use as a context manager.

    Args:
        console: Where to draw.
        webhooks: How many deliveries were submitted.
        imports: How many imports.
    """

    def __init__(self, console: Console, *, webhooks: int, imports: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=console,
        )
        self._rows = {
            WEBHOOKS: self._progress.add_task("critical   webhooks", total=webhooks, note=""),
            IMPORTS: self._progress.add_task("normal     csv imports", total=imports, note=""),
            ARCHIVE: self._progress.add_task("background archive MB", total=None, note=""),
        }

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(f"  {text}", markup=False)

    def show(self, jobs: Sequence[JobRecord]) -> None:
        """Draw the jobs' state."""
        for task in (WEBHOOKS, IMPORTS):
            mine = [job for job in jobs if job.task == task]
            ended = sum(job.state.is_final for job in mine)
            retrying = sum(job.state == "retrying" for job in mine)
            self._progress.update(self._rows[task], completed=ended, note=f"{retrying} retrying" if retrying else "")
        for job in jobs:
            if job.task == ARCHIVE and job.progress is not None:
                self._show_archive(job)

    def _show_archive(self, job: JobRecord) -> None:
        assert job.progress is not None
        total = None if job.progress.total is None else round(job.progress.total / _MB)
        note = (
            job.progress.message if job.state == "running" or job.state.is_final else f"{job.state}, {job.progress.message}"
        )
        self._progress.update(self._rows[ARCHIVE], completed=round(job.progress.done / _MB), total=total, note=note)

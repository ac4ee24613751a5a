"""What is shown while the lab runs."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from perdure_workers.chaos.checker import Judgement
from perdure_workers.chaos.result import Result


class Watcher:
    """Draws one scenario after the other; use as a context manager.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<28}", markup=False),
            TextColumn("{task.fields[phase]:<13}", style="dim"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._row: TaskID | None = None

    def __enter__(self) -> Watcher:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        """Show a scenario that begins."""
        self._progress.console.print(name, style="bold", markup=False, highlight=False)
        self._row = self._progress.add_task(name, total=None, phase="starting")

    def phase(self, name: str, seconds: float) -> None:
        """Show what a scenario does now, and how long that takes."""
        if self._row is not None:
            self._progress.reset(self._row, total=seconds, phase=name)

    def tick(self) -> None:
        """Show that time goes by."""
        if self._row is not None:
            self._progress.update(self._row, completed=self._progress.tasks[-1].elapsed or 0.0)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(f"  {text}", markup=False, highlight=False)

    def end(self, result: Result) -> None:
        """Show what came of a scenario."""
        if self._row is not None:
            self._progress.remove_task(self._row)
            self._row = None
        slowest = max((one.seconds for one in result.recoveries if one.seconds is not None), default=0.0)
        counts = ", ".join(f"{count} {name}" for name, count in result.counts.items() if count)
        verdict, style = ("held", "green") if result.is_held else ("BROKEN", "bold red")
        self._progress.console.print(f"  {verdict}", style=style, end="", highlight=False)
        self._progress.console.print(f"  {counts}; recovered in {slowest:.1f} s", markup=False, highlight=False)
        for each in result.judgements:
            self._tell(each)

    def _tell(self, judgement: Judgement) -> None:
        for breach in judgement.breaches[:3]:
            self.say(f"  {judgement.number}. {judgement.text}: {breach.key} {breach.told}")
        if len(judgement.breaches) > 3:
            self.say(f"  {judgement.number}. and {len(judgement.breaches) - 3} more")

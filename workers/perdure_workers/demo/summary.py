"""What came of the demo: counts, the accident, and each promise kept or broken."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that the platform promises.

    Attributes:
        text: The promise.
        is_kept: Whether it was kept.
        shown_by: What was found.
    """

    text: str
    is_kept: bool
    shown_by: str


@dataclass(slots=True)
class Summary:
    """What came of the demo; ``facts`` are named values in the order in which they are shown."""

    facts: dict[str, Any] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether all promises were kept."""
        return all(promise.is_kept for promise in self.promises)

    def promise(self, text: str, *, is_kept: bool, shown_by: str) -> None:
        """Add a promise and what was found of it."""
        self.promises.append(Promise(text, is_kept, shown_by))

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON has it."""
        return {**self.facts, "promises": [asdict(promise) for promise in self.promises], "ok": self.is_kept}

    def print(self, console: Console) -> None:
        """Print the summary as tables."""
        facts = Table(show_header=False, box=None, padding=(0, 2))
        for name, value in self.facts.items():
            facts.add_row(name.replace("_", " "), _plain(value))
        console.print()
        console.print(facts)
        promises = Table("", "promise", "shown by", title="Promises", title_justify="left", header_style="bold")
        for promise in self.promises:
            mark = "[green]kept[/green]" if promise.is_kept else "[bold red]BROKEN[/bold red]"
            promises.add_row(mark, promise.text, _plain(promise.shown_by))
        console.print()
        console.print(promises)


def _plain(value: Any) -> str:
    return str(value).replace("[", r"\[")

"""What a benchmark found: tables, how it compares with what was aimed at, and the figures behind them."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Table:
    """A table of text.

    Attributes:
        title: what its rows are about.
        head: titles of the columns.
        rows: cells, as many in each as there are columns.
    """

    title: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table in Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join([f"**{self.title}**", "", *("| " + " | ".join(cells) + " |" for cells in lines)])


@dataclass
class Target:
    """One figure that is aimed at.

    Attributes:
        what: the figure.
        found: what was measured.
        wanted: the bound.
        unit: of both; ``x`` for a ratio.
        at_least: whether the bound is the lowest that is good, or the highest.
    """

    what: str
    found: float
    wanted: float
    unit: str = "x"
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the figure is as good as the bound, or better."""
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted

    def cells(self) -> list[str]:
        """Return the row of a table."""
        sign = ">=" if self.at_least else "<="
        return [
            self.what,
            f"{number(self.found)} {self.unit}",
            f"{sign} {number(self.wanted)} {self.unit}",
            "yes" if self.met else "**no**",
        ]


@dataclass
class Report:
    """All that one benchmark found.

    Attributes:
        name: the benchmark's, as the command line takes it.
        title: a heading.
        notes: what a reader needs to know beside the tables, a sentence each.
        tables: the figures.
        targets: how they compare with what was aimed at.
        data: the figures as numbers.
    """

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the report in Markdown."""
        parts = [f"## {self.title}", f"`python -m benchmarks {self.name}`", *self.notes]
        parts += [table.markdown() for table in self.tables]
        if self.targets:
            parts.append(Table("targets", ["", "found", "wanted", "met"], [t.cells() for t in self.targets]).markdown())
        return "\n\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return the report as what JSON can hold, numbers to five digits."""
        stored: dict[str, Any] = _rounded(dataclasses.asdict(self))
        return stored

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Report:
        """Return the report that ``as_json`` gave."""
        tables = [Table(**table) for table in stored["tables"]]
        targets = [Target(**target) for target in stored["targets"]]
        return cls(**{**stored, "tables": tables, "targets": targets})


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def number(value: float) -> str:
    """Return a number with three digits or so."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """Return the median and, of several values, the lowest and the highest."""
    if not values:
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}-{number(max(values))})"


def ratio(of: Iterable[float], to: Iterable[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b if b else float("inf") for a, b in zip(of, to, strict=True))

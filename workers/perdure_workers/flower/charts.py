"""Small pictures as SVG made on the server: they need no script, and their text says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from perdure.resilience.breaker.machine import Change

WIDTH, HEIGHT = 240.0, 40.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar: where it begins and how wide it is, in percent, and what it is."""

    left: float
    width: float
    kind: str


def points(values: Sequence[float | None], top: float = 0.0) -> list[str]:
    """Return the polylines of a sparkline, one for each run of values without a gap.

    Args:
        values: What is plotted, left to right; None is a gap.
        top: The value at the upper edge, so that several lines share a scale; 0 for the largest.
    """
    top = top or max((value for value in values if value is not None), default=0.0) or 1.0
    step = WIDTH / max(len(values) - 1, 1)
    lines: list[list[str]] = [[]]
    for position, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{position * step:.1f},{HEIGHT - 2 - value / top * (HEIGHT - 4):.1f}")
    return [" ".join(line if len(line) > 1 else line * 2) for line in lines if line]


def segments(spans: Sequence[tuple[datetime | None, datetime | None, str]], now: datetime) -> list[Segment]:
    """Return spans of time as pieces of one bar, from the first beginning to the last end.

    Args:
        spans: Beginning, end (None: still going on) and kind of each; one without a beginning is left out.
        now: The end of what goes on.
    """
    known = [(start, end or now, kind) for start, end, kind in spans if start is not None]
    if not known:
        return []
    first, last = min(start for start, _, _ in known), max(end for _, end, _ in known)
    whole = max((last - first).total_seconds(), 1e-6)
    return [
        Segment(
            round((start - first).total_seconds() / whole * 100, 2),
            round(max((end - start).total_seconds() / whole * 100, 0.6), 2),
            kind,
        )
        for start, end, kind in known
    ]


def marks(moments: Sequence[tuple[datetime, str]], now: datetime, seconds: float) -> list[Segment]:
    """Return moments, each with its kind, as thin pieces of a bar that ends now.

    Args:
        moments: When, and what it was.
        now: The end of the bar.
        seconds: What the bar's whole width stands for.
    """
    width = 0.8
    places = ((max(0.0, 100 - (now - at).total_seconds() / seconds * 100), kind) for at, kind in moments)
    return [Segment(round(min(place, 100 - width), 2), width, kind) for place, kind in places]


def states(changes: Sequence[Change], now: datetime) -> list[Segment]:
    """Return the states that a breaker was in as pieces of one bar, from its oldest known change until now.

    Args:
        changes: Its changes, the newest first.
        now: The end of the state that it is in.
    """
    ends = [now, *(datetime.fromtimestamp(change.at_ms / 1000, UTC) for change in changes[:-1])]
    begins = [datetime.fromtimestamp(change.at_ms / 1000, UTC) for change in changes]
    spans = (
        [(begin, end, change.to_state) for begin, end, change in zip(begins, ends, changes, strict=True)] if changes else []
    )
    return segments(list(reversed(spans)), now)

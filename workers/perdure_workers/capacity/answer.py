"""What a simulation says: numbers for people and scripts, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perdure_workers.capacity.load import Load
from perdure_workers.capacity.simulation import Outcome

WIDTH, HEIGHT, MARGIN = 720, 260, 48


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a load. Times are in seconds.

    Attributes:
        submitted: Jobs.
        succeeded: Of these.
        dead: Of these.
        attempts: Runs of their functions.
        utilisation: Share of the children's time in which they ran something, until the last job ended.
        wait_mean: How long an attempt waited from when it could run, on average.
        wait_p50: The median.
        wait_p95: What 95 of 100 did not exceed.
        wait_p99: What 99 of 100 did not exceed.
        wait_max: The longest.
        backlog_max: The most that waited at once and could have run.
        backlog_left: How many wait still when nothing is submitted any more and patience has ended.
        recovery: After an outage, until no more waited than at most before it; None without one, or when they never do.
        seconds: Until the last job ended.
    """

    submitted: int
    succeeded: int
    dead: int
    attempts: int
    utilisation: float
    wait_mean: float
    wait_p50: float
    wait_p95: float
    wait_p99: float
    wait_max: float
    backlog_max: int
    backlog_left: int
    recovery: float | None
    seconds: float


def answer(load: Load, outcome: Outcome) -> Answer:
    """Return what is to be said of an outcome."""
    waits = sorted(outcome.waits)
    return Answer(
        submitted=outcome.submitted,
        succeeded=outcome.succeeded,
        dead=outcome.dead,
        attempts=outcome.attempts,
        utilisation=outcome.busy / (load.children * outcome.seconds) if outcome.seconds else 0.0,
        wait_mean=sum(waits) / len(waits) if waits else 0.0,
        wait_p50=_percentile(waits, 0.5),
        wait_p95=_percentile(waits, 0.95),
        wait_p99=_percentile(waits, 0.99),
        wait_max=_percentile(waits, 1.0),
        backlog_max=max((jobs for _, jobs in outcome.backlog), default=0),
        backlog_left=outcome.submitted - outcome.succeeded - outcome.dead,
        recovery=_recovery(load, outcome),
        seconds=outcome.seconds,
    )


def _percentile(waits: Sequence[float], part: float) -> float:
    return waits[min(len(waits) - 1, int(part * len(waits)))] if waits else 0.0


def _recovery(load: Load, outcome: Outcome) -> float | None:
    if load.outage is None:
        return None
    begin, end = load.outage
    before = max((jobs for moment, jobs in outcome.backlog if moment < begin), default=0)
    return next((moment - end for moment, jobs in outcome.backlog if moment >= end and jobs <= before), None)


def plot(load: Load, outcome: Outcome) -> str:
    """Return the backlog over time as an SVG picture; an outage is shaded."""
    last = max((moment for moment, _ in outcome.backlog), default=0.0) or 1.0
    top = max((jobs for _, jobs in outcome.backlog), default=0) or 1

    def x(moment: float) -> float:
        return MARGIN + moment / last * (WIDTH - 2 * MARGIN)

    def y(jobs: float) -> float:
        return HEIGHT - MARGIN - jobs / top * (HEIGHT - 2 * MARGIN)

    line = " ".join(f"{x(moment):.1f},{y(jobs):.1f}" for moment, jobs in outcome.backlog)
    shade = ""
    if load.outage is not None:
        left, right = x(min(load.outage[0], last)), x(min(load.outage[1], last))
        shade = f'<rect x="{left:.1f}" y="{MARGIN}" width="{right - left:.1f}" height="{HEIGHT - 2 * MARGIN}" fill="#fdd"/>'
    texts = (
        (MARGIN, MARGIN - 12, "start", f"jobs that wait (at most {top})"),
        (MARGIN, HEIGHT - MARGIN + 20, "start", "0 s"),
        (WIDTH - MARGIN, HEIGHT - MARGIN + 20, "end", f"{last:g} s"),
    )
    labels = "".join(
        f'<text x="{left}" y="{below}" text-anchor="{side}">{text}</text>' for left, below, side, text in texts
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">'
        f'<title>Jobs that wait, over time</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{shade}'
        f'<path d="M{MARGIN} {MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="1.5"/>{labels}</svg>\n'
    )

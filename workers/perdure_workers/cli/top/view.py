"""How ``perdure top`` looks: sections below each other, as many rows of each as the terminal has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from perdure.model.text.safe import one_line
from perdure_workers.cli.output import ago
from perdure_workers.cli.top.facts import Facts
from perdure_workers.facts.task_facts import TaskView
from perdure_workers.flower.formatting import count, duration, short

#: What tasks are sorted by: those that fail most, take longest, run most.
SORTS: dict[str, Callable[[TaskView], Any]] = {
    "failing": lambda task: (-task.failed, -task.open_letters, -task.total),
    "slowest": lambda task: -(task.p95 or 0.0),
    "busiest": lambda task: -task.total,
}
#: Width of the column of names, at most.
LONGEST_NAME = 28
_BAD = {"dead", "failed", "open", "paused", "crashed", "timeout"}
_HELP = "q quit  ↑↓ select  tab section  enter open its job  o open by id  p pause/resume bulkhead  s sort tasks"


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the screen.

    Attributes:
        name: Its name, which is the head of its first column.
        columns: The heads of the others; those of numbers begin with ``>``.
        rows: Its cells, by row.
        keys: What each row is about: a name or an id.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    keys: Sequence[str | None]


def sections(facts: Facts, sort: str) -> list[Section]:
    """Return all sections with all their rows, the most important one first."""
    tasks = sorted(facts.tasks, key=SORTS[sort])
    breakers = sorted(facts.breakers, key=lambda one: one.state == "closed")
    return [
        Section(
            "bulkhead",
            (">queued", ">running", ">later", ">oldest", ">/s", ">p95", "workers", ""),
            [
                (one.name, count(one.queued), f"{one.running}/{one.slots}", count(one.waiting), duration(one.oldest_wait),
                 f"{facts.rates[one.name]:.1f}", duration(one.p95), one.workers, "paused" if one.paused else "")
                for one in facts.bulkheads
            ],
            [one.name for one in facts.bulkheads],
        ),
        Section(
            f"task ({sort}, 1 h)",
            (">ended", ">failed", ">p50", ">p95", ">letters", "last error"),
            [
                (one.name, count(one.total), count(one.failed), duration(one.p50), duration(one.p95),
                 one.open_letters or "", one.last_error.error_type or one.last_error.outcome if one.last_error else "")
                for one in tasks
            ],
            [one.last_error.job_id if one.last_error else None for one in tasks],
        ),
        Section(
            "breaker",
            ("state", ">failures", ">rejected", "why"),
            [
                (one.name, f"{one.state}" + ("" if one.shared else " (local)"), count(one.failures), count(one.rejected),
                 one.reason)
                for one in breakers
            ],
            [one.name for one in breakers],
        ),
        Section(
            "worker",
            ("bulkhead", "state", ">jobs", ">beat"),
            [
                (one.name, one.bulkhead, "draining" if one.draining else one.state, f"{one.running}/{one.concurrency}",
                 f"{duration(one.heartbeat_age)} ago")
                for one in facts.workers
            ],
            [one.name for one in facts.workers],
        ),
        Section(
            "death",
            ("when", "reason", "job", "error"),
            [
                (one.task, ago(one.at), one.reason, short(one.job_id or ""),
                 ": ".join(part for part in (one.error_type, one.error) if part))
                for one in facts.deaths
            ],
            [one.job_id for one in facts.deaths],
        ),
    ]  # fmt: skip


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """Return how many rows each section gets: one in turn for each that wants more, the first ones first."""
    given = [0] * len(wanted)
    while room > 0 and given != list(wanted):
        for place, want in enumerate(wanted):
            if room > 0 and given[place] < want:
                given[place] += 1
                room -= 1
    return given


def head(facts: Facts | None, where: str, problems: Iterable[str]) -> list[Text]:
    """Return the lines above the sections: totals, and what is wrong."""
    lines = [Text.assemble(("perdure ", "bold"), one_line(where), no_wrap=True, overflow="ellipsis")]
    if facts is not None:
        queued, running = (sum(getattr(one, name) for one in facts.bulkheads) for name in ("queued", "running"))
        totals = f"  {facts.at:%H:%M:%S}  {count(queued)} queued  {count(running)} running  "
        totals += f"{sum(facts.rates.values()):.1f}/s  {count(facts.letters.open)} dead ({facts.letters.new} new)"
        lines[0].append(totals)
    lines += [Text(f"! {one_line(problem)}", style="bold red", no_wrap=True, overflow="ellipsis") for problem in problems]
    return lines


def screen(
    lines: Sequence[Text], shown: Sequence[Section], chosen: tuple[int, int] | None, *, height: int | None, said: str = ""
) -> RenderableType:
    """Return the whole screen.

    Args:
        lines: What stands above.
        shown: The sections.
        chosen: The section and row of the cursor; None without one.
        height: Lines of the terminal; None shows all rows.
        said: What the last key did.
    """
    parts: list[RenderableType] = [*lines]
    filled = [section for section in shown if section.rows]
    wanted = [len(section.rows) for section in filled]
    names = (text for section in filled for text in (section.name, *(str(row[0]) for row in section.rows)))
    width = min(LONGEST_NAME, max(map(len, names), default=0))
    given = wanted if height is None else shares(wanted, height - len(lines) - len(filled) - 1)
    for section, rows in zip(filled, given, strict=True):
        at = chosen[1] if chosen is not None and shown[chosen[0]] is section else None
        if rows:
            parts.append(_table(section, rows, at, width))
    if height is not None:
        parts.append(Text(said or _HELP, style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _table(section: Section, rows: int, at: int | None, width: int) -> Table:
    """Return as many rows of a section as there is room for: those around the cursor."""
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="reverse", show_edge=False)
    for place, column in enumerate((section.name, *section.columns)):
        justify: Any = "right" if column.startswith(">") else "left"
        sized: dict[str, Any] = {"width": width} if place == 0 else {"ratio": 1} if place == len(section.columns) else {}
        head = Text(column.removeprefix(">"))
        table.add_column(head, justify=justify, no_wrap=True, overflow="ellipsis", **sized)
    first = 0 if at is None else max(0, min(at - rows // 2, len(section.rows) - rows))
    for number, row in enumerate(section.rows[first : first + rows], first):
        table.add_row(*(_cell(value) for value in row), style="on blue" if number == at else None)
    return table


def _cell(value: object) -> Text:
    text = one_line("" if value is None else value)
    return Text(text, style="red" if text.partition(" ")[0] in _BAD else "")


def job_screen(found: Mapping[str, Any], height: int) -> RenderableType:
    """Return everything about a job that there is room for; ``found`` is what Flower's page of it shows."""
    job = found["job"]
    facts = [
        ("state", job.state), ("attempt", job.attempt), ("bulkhead", job.bulkhead), ("worker", job.worker),
        ("submitted", ago(job.created_at)), ("started", ago(job.started_at)), ("finished", ago(job.finished_at)),
        ("error", ": ".join(part for part in (job.error_type, job.error) if part)), ("dead letter", job.dead_letter_id),
        ("replay of", job.replay_of), ("why", "; ".join(str(reason) for reason in found["why"])),
    ]  # fmt: skip
    lines = [_line(f"{name:<12} {value}") for name, value in facts if value not in (None, "", 0)]
    attempts = [_line(_attempt(one)) for one in found["attempts"]]
    log = [_line(f"#{line.attempt} {line.level:<7} {line.text}") for line in found["log"]]
    parts = shares([len(lines), len(attempts), len(log)], height - 5)
    said: list[RenderableType] = [Rule("attempts"), *_last(attempts, parts[1]), Rule("log"), *_last(log, parts[2])]
    body = [*lines[: parts[0]], *said]
    return Group(_line(f"{job.task} {job.id}", "bold"), *body, _line("escape back  q quit", "dim"))


def _attempt(one: Any) -> str:
    took = (one.finished_at - one.started_at).total_seconds() if one.started_at and one.finished_at else None
    return f"{one.number:>3} {one.outcome:<11} {duration(took):>8} {one.worker or '':<12} {one.error_type or ''}"


def _line(text: str, style: str = "") -> Text:
    return Text(one_line(text), style=style, no_wrap=True, overflow="ellipsis")


def _last(lines: Sequence[Text], number: int) -> Sequence[Text]:
    return lines[len(lines) - number :]

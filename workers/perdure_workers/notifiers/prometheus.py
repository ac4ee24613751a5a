"""The rules of alerts as a rules file of Prometheus, where the platform's metrics can say them.

https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable

from perdure.model.alerts.builtin import FAILURE_WINDOW, LEAST_BACKLOG, LEAST_CALLS
from perdure.model.alerts.rule import Rule
from perdure.model.alerts.slo import WINDOWS, BurnWindow, Slo
from perdure.model.metrics import (
    ATTEMPTS,
    BELLS_MISSED,
    BREAKER_OPEN,
    CHECKPOINT_FAILURES,
    DEAD_LETTERS,
    DUTY_AGE,
    FINISHED,
    OLDEST,
    PAUSED,
    QUEUE_DEPTH,
    RUN,
    UP,
    WAIT,
    WORKER_FAILURES,
    WORKERS,
)

#: Of a measure, its value as an expression. What only the ledger knows (a fault's first letter, a silent bell) has none.
_VALUES: dict[str, str] = {
    "failure_rate": (
        f'sum by (task) (rate({ATTEMPTS.name}{{outcome=~"failed|timeout|crashed"}}[{FAILURE_WINDOW:.0f}s])) '
        f'/ (sum by (task) (rate({ATTEMPTS.name}{{outcome=~"succeeded|failed|timeout|crashed"}}[{FAILURE_WINDOW:.0f}s])) '
        f">= {LEAST_CALLS} / {FAILURE_WINDOW:.0f})"
    ),
    "dead_letters_growth": (
        f"sum by (task) (increase({DEAD_LETTERS.name}[2h])) "
        f"/ clamp_min(sum by (task) (increase({DEAD_LETTERS.name}[22h] offset 2h)) / 11, 1)"
    ),
    "queue_age": OLDEST.name,
    "queue_depth": QUEUE_DEPTH.name,
    "backlog_growth": f"deriv({QUEUE_DEPTH.name}[5m]) and {QUEUE_DEPTH.name} >= {LEAST_BACKLOG}",
    "breaker_open": BREAKER_OPEN.name,
    "worker_failed": f"increase({WORKER_FAILURES.name}[1h])",
    "bulkhead_unserved": (
        f"{QUEUE_DEPTH.name} unless on (bulkhead) {PAUSED.name} == 1 "
        f"unless on (bulkhead) sum by (bulkhead) ({WORKERS.name}) > 0"
    ),
    "checkpoint_failures": f"increase({CHECKPOINT_FAILURES.name}[5m])",
    "bells_lost": (
        f"sum by (bulkhead) (rate({BELLS_MISSED.name}[5m])) "
        f"/ (sum by (bulkhead) (rate({ATTEMPTS.name}[5m])) >= {LEAST_CALLS} / 300)"
    ),
    "bulkhead_paused": PAUSED.name,
}
#: Rules that watch what the rules above are fed by; they have no counterpart in the ledger, which is what they watch.
_WATCHING = (
    ("perdure_part_unreadable", f"{UP.name} == 0", "1m", "critical", "See that this part runs and can be reached."),
    ("perdure_duties_neglected", f"{DUTY_AGE.name} > 60", "1m", "critical", "Start a worker, or perdure supervisor."),
)


def rules_file(rules: Iterable[Rule], slos: Iterable[Slo]) -> str:
    """Return a rules file, in YAML.

    Args:
        rules: The rules; those that no metric can say are left out, and named in a comment.
        slos: The objectives whose budgets are watched.
    """
    known = [rule for rule in rules if rule.enabled]
    lines = [
        "# The rules of perdure's alerts for Prometheus: written by `perdure alerts prometheus`.",
        "# Only the ledger can say, and `perdure alerts list` does: "
        + ", ".join(sorted(rule.name for rule in known if rule.measure not in _VALUES and not _window_of(rule))),
        "groups:",
        "  - name: perdure",
        "    rules:",
    ]
    for rule in known:
        if rule.measure in _VALUES:
            expression = _compared(rule, _VALUES[rule.measure])
            lines += _entry(_named(rule.name), expression, _seconds(rule.hold), rule.severity.value, rule.todo, rule.keep)
    for name, expression, hold, severity, todo in _WATCHING:
        lines += _entry(name, expression, hold, severity, todo)
    lines += [line for slo in slos for line in _burning(slo, known)]
    return "\n".join(lines) + "\n"


def _burning(slo: Slo, rules: Iterable[Rule]) -> list[str]:
    lines: list[str] = []
    for rule in rules:
        if (window := _window_of(rule)) is not None:
            rate = (rule.above or 0.0) * slo.window / min(window.long, slo.window)
            parts = [f"({_bad_share(slo, seconds)}) > {rate * slo.budget:.9g}" for seconds in (window.long, window.short)]
            lines += _entry(
                _named(f"{rule.name}_{slo.name}"), " and ".join(parts), "0s", rule.severity.value, rule.todo, rule.keep
            )
    return lines


def _bad_share(slo: Slo, seconds: float) -> str:
    """Return the part of a task's jobs that died, or with an attempt that waited or ran for longer than allowed.

    Its time is taken to the next end of a bucket, so that no job in time is called late.
    """
    task, window = json.dumps(slo.task), f"[{seconds:.0f}s]"
    total = _grown(FINISHED.name, f'task={task},state=~"succeeded|dead"', window)
    bad = [_grown(FINISHED.name, f'task={task},state="dead"', window)]
    bound = next((one for one in RUN.buckets if one >= (slo.within or math.inf)), None)
    if bound is not None:
        for metric in (WAIT, RUN):
            in_time = _grown(f"{metric.name}_bucket", f'task={task},le="{bound}"', window)
            bad.append(f"{_grown(f'{metric.name}_count', f'task={task}', window)} - {in_time}")
    return f"({' + '.join(bad)}) / {total}"


def _grown(name: str, labels: str, window: str) -> str:
    """Return by how much a counter grew, 0 where there is none yet."""
    return f"(sum(increase({name}{{{labels}}}{window})) or vector(0))"


def _window_of(rule: Rule) -> BurnWindow | None:
    return next((window for window in WINDOWS if rule.measure == f"slo_burn_{window.name}"), None)


def _compared(rule: Rule, value: str) -> str:
    for label, wanted in rule.match.items():
        value = f'({value}) and on ({label}) label_replace(vector(1), "{label}", {json.dumps(wanted)}, "", "")'
    return f"({value}) > {rule.above:.15g}" if rule.above is not None else f"({value}) < {rule.below or 0.0:.15g}"


def _entry(name: str, expression: str, hold: str, severity: str, todo: str, keep: float = 0.0) -> list[str]:
    quoted: Callable[[str], str] = json.dumps  # a JSON text is a YAML text
    return [
        f"      - alert: {name}",
        f"        expr: {quoted(expression)}",
        f"        for: {hold}",
        *([f"        keep_firing_for: {_seconds(keep)}"] if keep else []),
        "        labels:",
        f"          severity: {severity}",
        "        annotations:",
        f"          summary: {quoted(name.replace('_', ' ') + ': {{ $value }} {{ $labels }}')}",
        f"          todo: {quoted(todo)}",
    ]


def _named(name: str) -> str:
    return "perdure_" + "".join(character if character.isalnum() else "_" for character in name)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f}s"

"""``report.html``: one file, with its style and its plots in it, that needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import msgspec

from perdure_workers.chaos.plot import recovery_plot, timeline_plot
from perdure_workers.chaos.result import Result, Suspect

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem } table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
th { font-weight: 600; border-bottom: 1px solid #c9d2dc } .held { color: #17703a } .broken { color: #b3261e; font-weight: 700 }
.untested { color: #5d6b7a } code, pre { font: 13px ui-monospace, monospace; background: #f1f4f7 } code { padding: .1rem .3rem }
pre { padding: .6rem; overflow-x: auto } svg { width: 100%; height: auto } details { margin: .5rem 0 }
"""  # noqa: E501 - a style sheet


def page(document: dict[str, Any], results: Sequence[Result]) -> str:
    """Return the page.

    Args:
        document: What ``report.json`` has.
        results: What came of each scenario.
    """
    verdict, recovery = document["verdict"], document["recovery"]
    times = [one.seconds for result in results for one in result.recoveries if one.seconds is not None]
    parts = [
        f"<h1>Chaos: {_marked(verdict)}</h1>",
        f"<p>{len(results)} scenarios, {len(document['faults'])} faults, seed {document['seed']}. "
        f"{escape(', '.join(f'{name} {number}' for name, number in document['versions'].items()))}.</p>",
        "<h2>Promises</h2>",
        _table(("invariant", "", "verdict", "looked at"), _promises(document["invariants"], results)),
        "<h2>Scenarios</h2>",
        _table(("scenario", "", "verdict", "accepted", "slowest recovery"), (_overview(result) for result in results)),
        "<h2>Recovery</h2>",
        "<p>From a fault's end until no more jobs wait or run than before the first fault: "
        + ", ".join(f"{name} {_seconds(recovery[name])}" for name in ("p50", "p95", "p99", "max"))
        + f"; not within the time allowed: {recovery['unrecovered']} of {recovery['faults']}.</p>",
        recovery_plot(times),
        *(part for result in results for part in _scenario(result)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>perdure chaos</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _promises(verdicts: dict[str, str], results: Sequence[Result]) -> Iterable[list[str]]:
    """Yield each invariant over all scenarios."""
    for number, verdict in verdicts.items():
        same = [each for result in results for each in result.judgements if str(each.number) == number]
        yield [number, escape(same[0].text), _marked(verdict), str(sum(each.looked_at for each in same))]


def _overview(result: Result) -> list[str]:
    name = f'<a href="#{escape(result.scenario)}">{escape(result.scenario)}</a>'
    times = [one.seconds for one in result.recoveries if one.seconds is not None]
    verdict = _marked("held" if result.is_held else "broken")
    return [name, escape(result.what), verdict, str(result.counts["accepted"]), _seconds(max(times, default=None))]


def _scenario(result: Result) -> Iterable[str]:
    yield f'<h2 id="{escape(result.scenario)}">{escape(result.scenario)}</h2><p>{escape(result.what)}.</p>'
    yield f"<p>Repeat it: <code>{escape(result.command)}</code></p>"
    yield f"<p>{escape(', '.join(f'{count} {name}' for name, count in result.counts.items()))}.</p>"
    yield timeline_plot(result)
    yield _table(
        ("invariant", "", "verdict", "looked at"),
        ([str(each.number), escape(each.text), _marked(each.verdict), str(each.looked_at)] for each in result.judgements),
    )
    rows = zip(result.faults, result.recoveries, strict=True)
    yield _table(
        ("fault", "", "at", "lasted", "recovered in"),
        ([escape(fault.fault), escape(fault.told), _seconds(fault.at), _seconds(fault.lasted), _seconds(one.seconds)]
         for fault, one in rows),
    )  # fmt: skip
    breaches = [breach for each in result.judgements for breach in each.breaches]
    if breaches:
        yield f"<h3>{len(breaches)} breaches</h3>"
        yield _table(("invariant", "job", ""), ([str(b.invariant), escape(b.key), escape(b.told)] for b in breaches))
        yield "".join(map(_suspect, result.suspects))


def _suspect(suspect: Suspect) -> str:
    lines = [msgspec.json.encode(part).decode() for part in (suspect.submitted, *suspect.did, *suspect.reported)]
    return f"<details><summary>{escape(suspect.key)}</summary><pre>{escape(chr(10).join(lines))}</pre></details>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _marked(verdict: str) -> str:
    return f'<span class="{verdict}">{verdict}</span>'


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"

"""A plot of the comparison, as SVG that needs nothing else."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Report

TICKS = (1, 10, 100, 1_000, 10_000, 100_000)
SERIES = {"submit": "submit", "bulk": "bulk submit", "drain": "drain"}


def draw(reports: Sequence[Report], path: Path) -> bool:
    """Draw the rates of the comparison, if it is among the reports, and tell whether there is a plot."""
    rates = next((report.data["rounds"] for report in reports if report.name == "compare"), None)
    if rates is None:
        return False
    try:
        import pygal
        from pygal.style import CleanStyle
    except ImportError:
        print("no plot: pygal is in the dependency group `bench`, which `make bench` installs", file=sys.stderr)
        return path.exists()
    chart = pygal.HorizontalBar(
        style=CleanStyle, js=[], logarithmic=True, title="jobs a second, logarithmic", legend_at_bottom=True, height=640
    )
    chart.y_labels, chart.zero, chart.range = TICKS, TICKS[0], (TICKS[0], TICKS[-1])
    chart.value_formatter = chart.y_value_formatter = lambda value: f"{value:,.0f}"
    systems = list(rates)[::-1]  # the first is drawn at the bottom
    chart.x_labels = systems
    for figure, title in SERIES.items():
        values = [rates[system].get(figure) for system in systems]
        chart.add(title, [round(statistics.median(each)) if each else None for each in values])
    path.write_bytes(chart.render())
    return True

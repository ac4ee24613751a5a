"""Keeps what benchmarks found: ``performance-figures.json``, and from it ``.md`` and ``.svg``."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from benchmarks import plot
from benchmarks.environments import CACHE, ROOT, versions
from benchmarks.report import Report

NAME = "performance-figures"
HEAD = """# Figures

Written by `make bench`; [performance.md](performance.md) says what is measured and how. Medians, with the lowest and the
highest in parentheses. Figures depend on the machine: compare those of one table."""


def folder(*, quick: bool) -> Path:
    """Return where figures are kept: with the documentation, or out of the way when they are rough."""
    place = CACHE / "quick" if quick else ROOT / "docs"
    place.mkdir(parents=True, exist_ok=True)
    return place


def keep(report: Report, place: Path) -> None:
    """Put a report in the place of the one that was there for the same benchmark, and write all files anew."""
    path = place / f"{NAME}.json"
    stored = json.loads(path.read_text()) if path.exists() else {"reports": {}}
    stored["machine"] = {"cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}
    stored["peers"] = versions()
    stored["reports"][report.name] = report.as_json()
    path.write_text(json.dumps(stored, indent=1) + "\n")
    reports = [Report.of(each) for each in stored["reports"].values()]
    picture = [f"![Jobs a second]({NAME}.svg)"] if plot.draw(reports, place / f"{NAME}.svg") else []
    machine = "{cores} cores, {system}, Python {python}.".format(**stored["machine"])
    peers = ", ".join(f"{name} {version}" for name, version in stored["peers"].items())
    parts = [HEAD, f"{machine} Peers: {peers}.", *picture, *(each.markdown() for each in reports)]
    (place / f"{NAME}.md").write_text("\n\n".join(parts) + "\n")

"""Run benchmarks: ``python -m benchmarks [NAME ...] [--quick]``; without a name, those of the comparison with peers."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import click

from benchmarks import figures
from benchmarks.trial import Lost

#: What ``make bench`` runs: figures that are kept with the documentation.
COMPARED = ("compare", "scaling", "without_redis", "start", "claimers", "pinned")
#: Of these, what is run when it should not take long.
QUICK = ("compare", "start")
#: Those that look at one part alone, or take long.
OTHERS = (
    "table_size",
    "partitions",
    "plans",
    "saturation",
    "recovery",
    "dead_letters",
    "checkpoints",
    "breaker",
    "flood",
    "flower",
    "metrics",
    "watching",
    "faults",
)
NAMES = (*COMPARED, *OTHERS, "quick", "all")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Small sizes: rough figures in a few minutes, kept apart from the others.")
@click.option("--only", multiple=True, metavar="WORD", help="Of the systems, only those with this word in their name.")
def main(names: tuple[str, ...], quick: bool, only: tuple[str, ...]) -> None:
    """Run benchmarks, print what they found, keep it with the documentation. ``quick`` means --quick; ``all`` is all."""
    quick, is_part = quick or "quick" in names, bool(only)
    chosen = [name for name in dict.fromkeys(names) if name not in ("quick", "all")]
    chosen = chosen or list(QUICK if quick or is_part else COMPARED)
    if "all" in names:
        chosen = [*COMPARED, *OTHERS]
    place, failed = figures.folder(quick=quick or is_part), []
    for name in chosen:
        began = time.monotonic()
        try:
            run(name, place, quick=quick, only=only)
        except Lost as failure:
            failed.append(name)
            click.echo(f"{name}: {failure}", err=True)
        click.echo(f"{name}: {time.monotonic() - began:.0f} s", err=True)
    if failed:
        raise SystemExit(f"without figures: {', '.join(failed)}")


def run(name: str, place: Path, *, quick: bool, only: tuple[str, ...]) -> None:
    """Run one benchmark."""
    module = importlib.import_module(f"benchmarks.{name}")
    if not hasattr(module, "measure_report"):
        module.main()
        return
    report = module.measure_report(quick=quick, only=only) if name == "compare" else module.measure_report(quick=quick)
    click.echo(report.markdown() + "\n")
    figures.keep(report, place)


if __name__ == "__main__":
    main()

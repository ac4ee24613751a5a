"""``perdure simulate``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from perdure.ledger.measured import Measured
    from perdure_workers.capacity.answer import Answer
    from perdure_workers.capacity.load import Load

RETRIES = ("none", "fast", "standard", "slow")


@click.command()
@click.option("--rate", type=click.FloatRange(min=0), help="Jobs that are submitted per second, at random moments.")
@click.option("--service", type=click.FloatRange(min=0, min_open=True), help="Seconds that an attempt takes on average.")
@click.option("--constant", is_flag=True, help="Each attempt takes just as long; by default the times are exponential.")
@click.option("--from-ledger", "bulkhead", metavar="BULKHEAD", help="Measure rate, service times and failures there.")
@click.option("--window", default=3600.0, show_default=True, help="Seconds that are measured, up to now.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Workers.")
@click.option("-c", "--children", type=click.IntRange(min=1), default=5, show_default=True, help="Children of each.")
@click.option("--failures", type=click.FloatRange(0, 1), help="Share of the attempts that fail.")
@click.option("--retry", type=click.Choice(RETRIES), default="standard", show_default=True, help="What happens then.")
@click.option("--backlog", type=click.IntRange(min=0), default=0, help="Jobs that wait at the beginning.")
@click.option("--duration", type=click.FloatRange(min=1), default=3600.0, show_default=True, help="Seconds of submitting.")
@click.option("--outage", nargs=2, type=click.FloatRange(min=0), metavar="BEGIN END", help="Seconds in which all fail.")
@click.option("--breaker", type=click.FloatRange(min=0.1), metavar="SECONDS", help="A breaker with this recovery time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write the backlog over time as SVG.")
@json_option
@pass_context
def simulate(
    context: Context,
    rate: float | None,
    service: float | None,
    constant: bool,
    bulkhead: str | None,
    window: float,
    workers: int,
    children: int,
    failures: float | None,
    retry: str,
    backlog: int,
    duration: float,
    outage: tuple[float, float] | None,
    breaker: float | None,
    seed: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Say how long jobs would wait, by a simulation with the platform's own decisions.

    What is not given is measured by --from-ledger.
    """
    from perdure.model.retry_policy import PRESETS
    from perdure.resilience.breaker.config import BreakerConfig
    from perdure_workers.capacity import answer as answers
    from perdure_workers.capacity.load import Load
    from perdure_workers.capacity.simulation import simulate as simulated

    measured = None if bulkhead is None else context.app.ledger.load_of(bulkhead, window)
    if outage is not None and outage[0] >= outage[1]:
        raise click.UsageError(f"--outage {outage[0]:g} {outage[1]:g}: an outage ends after it began")
    load = Load(
        rate=_given("--rate", rate, measured.rate if measured else None),
        children=workers * children,
        service=(service,) if service is not None else _service(bulkhead, measured),
        constant=constant,
        failures=failures if failures is not None else measured.failures if measured else 0.0,
        retry=PRESETS[retry],
        backlog=backlog,
        duration=duration,
        outage=outage,
        breaker=BreakerConfig(recovery_timeout=breaker) if breaker else None,
        seed=seed,
    )
    outcome = simulated(load)
    answer = answers.answer(load, outcome)
    if plot is not None:
        plot.write_text(answers.plot(load, outcome))
    if as_json:
        print_json({"offered": load.offered, "children": load.children, "seed": seed} | dataclasses.asdict(answer))
    else:
        _tell(load, answer)


def _given(option: str, value: float | None, measured: float | None) -> float:
    if value is None and measured is None:
        raise click.UsageError(f"give {option}, or --from-ledger BULKHEAD to measure it")
    return value if value is not None else measured or 0.0


def _service(bulkhead: str | None, measured: Measured | None) -> tuple[float, ...]:
    if measured is None:
        raise click.UsageError("give --service, or --from-ledger BULKHEAD to measure it")
    if not measured.service:
        raise click.UsageError(
            f"no attempt has ended in {bulkhead!r} lately: give --service, or a longer --window; perdure bulkheads list"
        )
    return measured.service


def _tell(load: Load, answer: Answer) -> None:
    say(f"{load.rate:g} jobs per second keep {load.offered:.1f} of {load.children} children busy (seed {load.seed})")
    if load.offered >= load.children:
        say("that is more than they can do: the line grows for as long as jobs are submitted", fg="red")
    rows = [(name.replace("_", " "), _shown(value)) for name, value in dataclasses.asdict(answer).items()]
    print_table(("", "simulated"), rows)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

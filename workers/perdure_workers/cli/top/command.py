"""The command ``perdure top``."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.cli.top.facts import Facts


@click.command()
@click.option("--once", is_flag=True, help="Print it once, all rows, and end; so it does where no terminal shows it.")
@click.option(
    "--every", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds between two looks."
)
@json_option
@pass_context
def top(context: Context, once: bool, every: float, as_json: bool) -> None:
    """Watch bulkheads, tasks, breakers, workers and deaths.

    Keys: arrows and tab choose a row, enter opens its job, o one by its id, p pauses or resumes a bulkhead, s sorts tasks
    by failures, run time or number, r looks at once, q quits.
    """
    from perdure_workers.cli.top.facts import as_json as json_of
    from perdure_workers.cli.top.facts import read_facts
    from perdure_workers.facts.history import History

    app = context.app
    read = partial(read_facts, app, History(app))
    if as_json:
        print_json(json_of(read()))
    elif once or not sys.stdout.isatty():
        _print(app, read())
    else:
        _watch(app, read, every)


def _print(app: Perdure, facts: Facts) -> None:
    from rich.console import Console

    from perdure_workers.cli.top.view import SORTS, head, screen, sections

    lines = head(facts, _where(app), facts.problems)
    Console(highlight=False).print(screen(lines, sections(facts, next(iter(SORTS))), None, height=None))


def _watch(app: Perdure, read: Any, every: float) -> None:
    from rich.console import Console

    from perdure_workers.cli.top.refresher import Refresher
    from perdure_workers.cli.top.top import Top

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the terminal is given back as it was
    refresher = Refresher(read, every)
    refresher.start()
    try:
        Top(app, _where(app), refresher, Console(highlight=False)).run()
    except KeyboardInterrupt:
        pass
    finally:
        refresher.stop()


def _where(app: Perdure) -> str:
    from perdure.model.text.masked_url import masked_url

    return masked_url(app.settings.effective_ledger_url).rpartition("/")[2]

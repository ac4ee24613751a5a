"""``perdure slo``: objectives, and what is left of their error budgets."""

from __future__ import annotations

from typing import Any

import click

from perdure.model.alerts.slo import DAY, SloState
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say


@click.command()
@json_option
@pass_context
def slo(context: Context, as_json: bool) -> None:
    """Say how far each objective of the application is met, and what is left of its error budget."""
    states = context.app.alerts.slo_states()
    if as_json:
        print_json([plain_state(state) for state in states])
        return
    columns = ("objective", "task", "target", "window", "good", "bad", "attained", "budget left", "burns")
    print_table(columns, [_row(state) for state in states])
    if not states:
        say("this application has no objectives; see app.slo(...) and the settings [slos.NAME]", err=True)


def plain_state(state: SloState) -> dict[str, Any]:
    """Return an objective and where it stands, as JSON has it."""
    slo = state.slo
    same = {name: getattr(slo, name) for name in ("name", "task", "within", "target", "window")}
    return same | {name: getattr(state, name) for name in ("good", "bad", "attained", "budget_left", "burn")}


def _row(state: SloState) -> tuple[object, ...]:
    slo = state.slo
    target = f"{slo.target:.3%}" + ("" if slo.within is None else f" within {slo.within:g} s")
    burns = f"{state.burn:.1f} times as fast as allowed" if state.burn else "no"
    window = f"{slo.window / DAY:g} d"
    return (
        slo.name,
        slo.task,
        target,
        window,
        state.good,
        state.bad,
        f"{state.attained:.3%}",
        f"{state.budget_left:.1%}",
        burns,
    )

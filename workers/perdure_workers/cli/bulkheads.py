"""``perdure bulkheads``: what waits and runs, pause and resume."""

from __future__ import annotations

import click

from perdure.system.who import whoami
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say


@click.group()
def bulkheads() -> None:
    """Look at bulkheads, pause and resume them."""


@bulkheads.command("list")
@json_option
@pass_context
def list_bulkheads(context: Context, as_json: bool) -> None:
    """List the bulkheads with what waits and runs in them."""
    rows = [
        {
            "name": bulkhead.name,
            "queue": bulkhead.queue,
            "queued": bulkhead.counts.queued,
            "running": bulkhead.counts.running,
            "waiting": bulkhead.counts.waiting,
            "oldest_wait": bulkhead.counts.oldest_wait,
            "paused": bulkhead.counts.paused,
            "concurrency": bulkhead.settings.concurrency,
            "limit": bulkhead.settings.limit,
            "rate": bulkhead.settings.rate,
            "max_depth": bulkhead.settings.max_depth,
        }
        for bulkhead in context.app.bulkheads.list()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]), (list(row.values()) for row in rows))


@bulkheads.command()
@click.argument("name")
@click.option("--reason", default="", help="Why; shown to others.")
@pass_context
def pause(context: Context, name: str, reason: str) -> None:
    """Let no job of a bulkhead start; those that run go on."""
    context.app.bulkheads.pause(name, by=f"cli:{whoami()}", reason=reason)
    say(f"{name} paused. Resume it with: perdure bulkheads resume {name}")


@bulkheads.command()
@click.argument("name")
@pass_context
def resume(context: Context, name: str) -> None:
    """Let a paused bulkhead's jobs start again."""
    context.app.bulkheads.resume(name)
    say(f"{name} resumed")

"""``perdure faults``: switching injected faults on and off, in all processes whose settings allow them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from perdure.errors import InvalidFault, did_you_mean
from perdure.model.faults.fault import DEFAULT_SECONDS, LONGEST, Fault
from perdure.model.faults.places import Point
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import ago, json_option, print_json, print_table, say

if TYPE_CHECKING:
    from perdure import Perdure


@click.group()
def faults() -> None:
    """Inject faults on purpose. They end by themselves."""


@faults.command("list")
@json_option
@pass_context
def list_faults(context: Context, as_json: bool) -> None:
    """List the faults that are injected now."""
    found = context.app.faults.list()
    if as_json:
        print_json(found)
        return
    print_table(["id", "kind", "target", "at", "probability", "ends", "owner"], map(_row, found))


@faults.command("add")
@click.argument("kind", metavar="KIND")
@click.argument("target", metavar="TARGET")
@click.option(
    "--for", "seconds", type=float, default=DEFAULT_SECONDS, show_default=True, help=f"Seconds, at most {LONGEST:g}."
)
@click.option("--probability", type=float, default=1.0, show_default=True, help="The share of calls that it strikes.")
@click.option("--delay", type=float, help="Seconds that latency and slow_checkpoint take.")
@click.option("--exception", metavar="TYPE", help="What exception raises: TimeoutError, or module.Name.")
@click.option("--result", metavar="JSON", help="What wrong_result returns; null by default.")
@click.option("--at", metavar="POINT", help=f"Where it acts: {', '.join(Point)}.")
@click.option("--seed", type=int, help="Decides which calls it strikes; any by default.")
@click.option("--owner", help="Who wants it; you by default.")
@click.option("--create", is_flag=True, help="Also for a service that nobody has configured or used yet.")
@json_option
@pass_context
def add_fault(
    context: Context, /, kind: str, target: str, result: str | None, create: bool, as_json: bool, **options: Any
) -> None:
    """Switch a fault on in all processes whose settings allow it.

    \b
    KIND is latency, error, exception, hang, wrong_result, slow_checkpoint,
    failing_checkpoint, broken_store or lost_answer.
    TARGET is service:NAME, task:NAME, bulkhead:NAME, duty:NAME, store:ledger,
    store:checkpoints, store:broker or store:redis.
    """
    app = context.app
    if not create:
        _check_name(app, target)
    fault = app.faults.add(kind, target, result=_decoded(result), **options)
    if not fault.shared:
        raise InvalidFault("Redis does not answer, so no other process would see the fault: none is injected")
    if as_json:
        print_json(fault)
    else:
        say(f"{fault.id}: {fault.kind} on {fault.target} at {', '.join(fault.at)}, until {_end_of(fault):%H:%M:%SZ}")


@faults.command("clear")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@json_option
@pass_context
def clear_faults(context: Context, ids: Sequence[str], as_json: bool) -> None:
    """Switch faults off: those that are named, or all."""
    gone = context.app.faults.clear(*ids)
    if as_json:
        print_json(gone)
    else:
        say(f"{len(gone)} switched off")


def _row(each: Fault) -> list[Any]:
    return [each.id, each.kind, each.target, ", ".join(each.at), f"{each.probability:g}", ago(_end_of(each)), each.owner]


def _end_of(fault: Fault) -> datetime:
    return datetime.fromtimestamp(fault.ends_at, UTC)


def _decoded(result: str | None) -> Any:
    if result is None:
        return None
    try:
        return msgspec.json.decode(result)
    except msgspec.DecodeError as error:
        raise InvalidFault(f"--result {result}: {error}. Write JSON, such as 7 or '\"text\"'") from None


def _check_name(app: Perdure, target: str) -> None:
    """Refuse a misspelt service or duty, whose fault would never strike."""
    what, _, name = target.partition(":")
    if what == "duty":
        from perdure_workers.supervisor.supervisor import default_duties

        known, more = {duty.name for duty in default_duties(app)}, ""
    elif what == "service":
        from perdure_workers.shared.named_breakers import breaker_names

        known, more = breaker_names(app), ". With --create also one that is not configured or used yet"
    else:
        return
    if name not in known:
        raise InvalidFault(
            f"there is no {what} {name!r}.{did_you_mean(name, known)} Known: {', '.join(sorted(known))}{more}"
        )

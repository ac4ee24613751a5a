"""``perdure checkpoints``: looking over the stores of checkpoints, and mending them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from perdure import Perdure
from perdure.errors import JobNotFound
from perdure.model.states import JobState
from perdure.stores.protocol import CheckpointStore, scan_all
from perdure.stores.replicated.replicated import ReplicatedStore
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import Exit, json_option, print_json, print_table, say
from perdure_workers.cli.progress import progress

if TYPE_CHECKING:
    from perdure.stores.replicated.divergence import Summary

#: States of jobs whose checkpoints nobody will load again.
_OVER = (JobState.SUCCEEDED, JobState.CANCELLED)


@click.group()
def checkpoints() -> None:
    """Look over the stores that the setting checkpoint_store names, and mend them."""


@checkpoints.command("verify")
@json_option
@pass_context
def verify(context: Context, as_json: bool) -> None:
    """Read every checkpoint of every store and compare them. Exit code 1 when something is damaged or differs."""
    store = context.app.storage.store
    with _progress("comparing") as tell:
        found = _replicas(store.verify(progress=tell)) if isinstance(store, ReplicatedStore) else _single(store, tell)
    _print(found, as_json)
    if found["faults"]:
        sys.exit(Exit.ERROR)


@checkpoints.command("repair")
@json_option
@pass_context
def repair(context: Context, as_json: bool) -> None:
    """Bring every store up to date, and remove checkpoints of jobs that are over. Exit code 1 if some cannot be mended."""
    app = context.app
    store = app.storage.store
    if not isinstance(store, ReplicatedStore):
        raise click.UsageError("there is one store only, and nothing to mend it from: checkpoint_store must name several")
    with _progress("mending") as tell:
        summary = store.repair(progress=tell, is_live=lambda job_id: _may_still_run(app, job_id))
    found = _replicas(summary)
    _print(found, as_json)
    if summary.unrepaired:
        sys.exit(Exit.ERROR)


def _may_still_run(app: Perdure, job_id: str) -> bool:
    try:
        return app.ledger.jobs.get(job_id).state not in _OVER
    except JobNotFound:
        return False


def _replicas(summary: Summary) -> dict[str, Any]:
    faults = [{"job": reading.key.job_id, "name": reading.key.name, "what": _what(reading)} for reading in summary.readings]
    unrepaired = [{"job": key.job_id, "name": key.name, "what": why} for key, why in summary.unrepaired.items()]
    counts = {name: getattr(summary, name) for name in ("checked", "divergent", "repaired", "removed")}
    return counts | {"unrepaired": unrepaired, "faults": faults}


def _what(reading: Any) -> str:
    parts = [f"{each.store}: {each.reason}" for each in reading.damaged]
    parts += [f"{name}: {why}" for name, why in sorted(reading.failed.items())]
    parts += [f"{name}: stale" for name in sorted(reading.stale)]
    return "; ".join(parts)


def _single(store: CheckpointStore, tell: Callable[[int], None]) -> dict[str, Any]:
    checked, faults = 0, []
    for key in scan_all(store):
        checked += 1
        faults += [
            {"job": key.job_id, "name": key.name, "what": str(each.damage)}
            for each in store.versions(*key)
            if each.damage is not None
        ]
        tell(checked)
    return {"checked": checked, "faults": faults}


@contextmanager
def _progress(what: str) -> Iterator[Callable[[Any], None]]:
    with progress(counted="checkpoints") as bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.update(task, completed=done if isinstance(done, int) else done.checked)


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    counts = ", ".join(f"{value} {name}" for name, value in found.items() if isinstance(value, int))
    say(f"{counts}; {len(found['faults']) or 'no'} faults")
    if found["faults"]:
        print_table(("job", "checkpoint", "fault"), (list(fault.values()) for fault in found["faults"]))
    if found.get("unrepaired"):
        rows = (list(fault.values()) for fault in found["unrepaired"])
        print_table(("job", "checkpoint", "why"), rows, title="not mended")

"""``perdure db``: the ledger's schema, and its backups."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from msgspec.structs import asdict

from perdure.errors import BackupFailed, LedgerOutdated
from perdure.ledger import migrate
from perdure.model.clock import to_datetime
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import json_option, print_json, print_table, say
from perdure_workers.cli.progress import progress

_archive = click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def db() -> None:
    """Look after the ledger: its schema, its backups."""


@db.command()
@pass_context
def upgrade(context: Context) -> None:
    """Bring the ledger's schema to this release's version."""
    ledger = context.app.ledger
    say(f"{ledger.database.name}: schema {ledger.upgrade()}")


@db.command()
@pass_context
def check(context: Context) -> None:
    """Say whether the ledger's schema is this release's; exit code 1 if not."""
    database = context.app.ledger.database
    found = migrate.version(database)
    differences = migrate.drift(database) if found == migrate.SCHEMA_VERSION else []
    if found != migrate.SCHEMA_VERSION or differences:
        detail = f" and differs: {differences}" if differences else f", this release needs {migrate.SCHEMA_VERSION}"
        raise LedgerOutdated(f"{database.name} has schema {found or 'none'}{detail}. Run: perdure db upgrade")
    say(f"{database.name}: schema {found}, as it should be")


@db.command()
@json_option
@pass_context
def partitions(context: Context, as_json: bool) -> None:
    """Show the partitions of history on PostgreSQL: until when each takes what succeeded, and when it goes."""
    found = context.app.ledger.partitions.existing()
    kept = context.app.settings.retention
    rows = [{**asdict(one), "dropped_after": one.until + kept} for one in found]
    if as_json:
        print_json(rows)
    elif not rows:
        say("no partitions: the setting partition_period has jobs that succeeded move there, on PostgreSQL")
    else:
        shown = [(_day(r["until"]), r["jobs"], f"{r['bytes'] / 1e6:.0f}", _day(r["dropped_after"])) for r in rows]
        print_table(("until", "jobs, about", "MB", "goes after"), shown)


def _day(moment: float) -> str:
    return f"{to_datetime(moment):%Y-%m-%d %H:%M} UTC"


@db.command()
@_archive
@json_option
@pass_context
def backup(context: Context, archive: Path, as_json: bool) -> None:
    """Write ledger, blobs and checkpoints to ARCHIVE (.tar.gz), as they are at one moment; the platform works on."""
    from perdure_workers.backup.backup import back_up

    began = time.monotonic()
    with _told() as told:
        manifest = back_up(context.app, archive, told)
    facts = _facts(archive, manifest, began)
    if manifest.missing:
        say(f"{len(manifest.missing)} blobs are missing or damaged, such as {manifest.missing[0]}", err=True, fg="red")
    if as_json:
        print_json(facts)
    else:
        say(f"{archive}: {facts['jobs']} jobs, {facts['blobs']} blobs, {facts['bytes']} bytes in {facts['seconds']:.1f} s")


@db.command()
@_archive
@click.option("--overwrite", is_flag=True, help="Replace a ledger that is not empty.")
@click.option("--despite-workers", is_flag=True, help="Also while workers live on it: they lose their leases.")
@json_option
@pass_context
def restore(context: Context, archive: Path, overwrite: bool, despite_workers: bool, as_json: bool) -> None:
    """Put ARCHIVE in the ledger's place. Who worked on it before can write no more; what ran then waits again."""
    from perdure_workers.backup.restore import restore as put_back

    began = time.monotonic()
    with _told() as told:
        manifest, fenced = put_back(context.app, archive, overwrite=overwrite, despite_workers=despite_workers, told=told)
    facts = _facts(archive, manifest, began) | asdict(fenced)
    if as_json:
        print_json(facts)
    else:
        say(
            f"{archive} restored in {facts['seconds']:.1f} s: {facts['jobs']} jobs, of which {fenced.waiting} wait, "
            f"{fenced.taken_back} taken back from {fenced.workers} workers that lived then"
        )


@db.command()
@_archive
@json_option
@pass_context
def verify(context: Context, archive: Path, as_json: bool) -> None:
    """Check that ARCHIVE is whole and can be restored by this release: checksums, schema, rows, blobs."""
    from perdure_workers.backup.verify import verified

    began = time.monotonic()
    with verified(archive) as (manifest, _):
        facts = _facts(archive, manifest, began)
    if manifest.missing:
        raise BackupFailed(
            f"{archive} is as it was made, and {len(manifest.missing)} blobs were missing or damaged then, such as "
            f"{manifest.missing[0]}. The jobs that need them fail; an older backup may have them"
        )
    if as_json:
        print_json(facts)
    else:
        say(f"{archive} is whole: schema {manifest.schema}, {facts['jobs']} jobs, {facts['blobs']} blobs")


@db.command()
@json_option
@pass_context
def fence(context: Context, as_json: bool) -> None:
    """Make a ledger safe that was restored by other means than `perdure db restore`, before workers start on it."""
    from perdure.ledger.backup.fencing import fence as fence_ledger

    fenced = context.app.ledger.transact(fence_ledger)
    if as_json:
        print_json(fenced)
    else:
        say(f"{fenced.waiting} jobs wait, {fenced.taken_back} taken back from {fenced.workers} workers")


def _facts(archive: Path, manifest: Any, began: float) -> dict[str, Any]:
    return {
        "archive": str(archive),
        "bytes": archive.stat().st_size,
        "release": manifest.release,
        "made_at": manifest.made_at,
        "schema": manifest.schema,
        "jobs": manifest.tables["perdure_jobs"],
        "tables": manifest.tables,
        "blobs": len(manifest.blobs),
        "missing": manifest.missing,
        "checkpoints": manifest.checkpoints,
        "seconds": time.monotonic() - began,
    }


@contextmanager
def _told() -> Iterator[Callable[[str, int, int], object]]:
    """Yield what shows how far a command has come."""
    with progress() as bars:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield told

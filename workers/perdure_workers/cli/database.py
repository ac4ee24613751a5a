"""``perdure db``: the ledger's schema."""

from __future__ import annotations

import click

from perdure.errors import LedgerOutdated
from perdure.ledger import migrate
from perdure_workers.cli.loading import Context, pass_context
from perdure_workers.cli.output import say


@click.group()
def db() -> None:
    """Look after the ledger's schema."""


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

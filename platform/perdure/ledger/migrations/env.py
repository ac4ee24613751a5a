"""Run migrations on the connection that perdure.ledger.migrate passes in."""

from alembic import context
from sqlalchemy import text

from perdure.ledger.migrate import VERSION_TABLE
from perdure.ledger.schema import metadata

#: Any number that no other user of the database takes: makes concurrent upgrades wait for each other.
LOCK = 0x7065_7264_7572_65

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    version_table=VERSION_TABLE,
)
context.run_migrations()

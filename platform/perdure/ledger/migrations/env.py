"""Run migrations on the connection that perdure.ledger.migrate passes in."""

from alembic import context

from perdure.ledger.indexes import metadata
from perdure.ledger.migrate import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    version_table=VERSION_TABLE,
)
context.run_migrations()

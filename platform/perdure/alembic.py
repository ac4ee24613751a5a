"""For an application whose own Alembic migrations live in the database that holds the ledger.

``alembic revision --autogenerate`` compares all tables of a database with the application's models. It would take perdure's
tables for tables that were forgotten, and drop them. In the application's ``env.py``::

    from perdure.alembic import include_name

    context.configure(connection=connection, target_metadata=target_metadata, include_name=include_name)

perdure's tables are migrated by ``perdure db upgrade`` alone; their version is in a table of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What the names of perdure's tables begin with.
PREFIX = "perdure_"


def include_name(name: str | None, type_: str, parent_names: Mapping[str, Any]) -> bool:
    """Return whether Alembic is to look at something in the database: anything but perdure's tables.

    Args:
        name: Its name.
        type_: What it is, such as ``table``.
        parent_names: The names of what it is in, such as ``table_name``.

    An ``env.py`` that has a rule of its own asks both: ``include_name=lambda *what: include_name(*what) and mine(*what)``.
    """
    table = name if type_ == "table" else parent_names.get("table_name")
    return table is None or not table.startswith(PREFIX)

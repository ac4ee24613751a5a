"""What the tests of submitting share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from perdure import Perdure, Task


@pytest.fixture
def add(app: Perdure) -> Task[..., int]:
    @app.job(name="tests.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


@pytest.fixture
def add_lite(sqlite_app: Perdure) -> Task[..., int]:
    @sqlite_app.job(name="tests.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


@pytest.fixture
def session(app: Perdure) -> Iterator[Session]:
    engine = create_engine(app.settings.effective_ledger_url)
    if engine.dialect.name == "sqlite":
        # As SQLAlchemy's documentation says: else Python's driver begins no transaction before a savepoint.
        event.listen(engine, "connect", lambda connection, _record: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with Session(engine) as session:
        yield session
    engine.dispose()

"""``tables.import_csv`` killed with -9 at random moments: each row is there once, each bad record is rejected once."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
import sqlalchemy as sa

from support.run_task import run_under_fire

pytestmark = pytest.mark.slow

ROWS = 4000

TARGET = sa.Table(
    "target",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),  # its own key: a row that came twice would be there twice
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("text", sa.Text),
)


@pytest.mark.chaos
def test_import_under_fire_imports_each_row_once(ledger_url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(ledger_url, poolclass=sa.NullPool)
    TARGET.create(engine)
    file = tmp_path / "numbers.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["number", "text"])
        writer.writerows([n if n % 50 else f"bad {n}", f"line\n{n}"] for n in range(ROWS))
    spec = {
        "task": "tables.import_csv",
        "key": "k",
        "checkpoint": str(tmp_path / "checkpoint.json"),
        "kwargs": {
            "path": str(file),
            "database": engine.url.render_as_string(hide_password=False),
            "table": "target",
            "batch_rows": 25,
        },
    }
    result, killed = run_under_fire(spec, kills=4, rng=random.Random(7), longest=0.15)
    assert killed >= 2
    with engine.connect() as connection:
        numbers = connection.scalars(sa.select(TARGET.c.number).order_by(TARGET.c.id)).all()
    engine.dispose()
    assert numbers == [n for n in range(ROWS) if n % 50]
    assert (result["rows"], result["rejected"]) == (len(numbers), ROWS - len(numbers))
    with open(result["reject_path"], newline="") as rejected:
        assert [fields[2] for fields in csv.reader(rejected)][1:] == [f"bad {n}" for n in range(0, ROWS, 50)]

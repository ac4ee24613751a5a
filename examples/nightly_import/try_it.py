"""Run tonight's import now, and kill whoever runs it in the middle of the file."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
from importing import app, imports, orders, tables
from sqlalchemy import func, select

LINES = 20_000


def count(what: object) -> int:
    """Return a number from the ledger's database."""
    with app.ledger.transaction() as connection:
        return connection.scalar(select(what)) or 0


with app.ledger.transaction() as connection:
    tables.create_all(connection)
Path("orders.csv").write_text("".join(f"o-{n},{'?' if n % 1000 == 0 else n}\n" for n in range(LINES)))

job = app.schedules.trigger("importing.import_orders")
while count(func.count(orders.c.id)) < 500:
    time.sleep(0.005)
for worker in app.workers.list():
    for child in psutil.Process(worker.pid).children():
        child.kill()
print("killed in the middle")

job.wait(60)
assert len(job.attempts()) > 1, "it was done before it was killed"
with app.ledger.transaction() as connection:
    [report] = connection.execute(select(imports)).all()
assert tuple(report) == ("orders.csv", LINES - 20, 20), report
assert count(func.count(orders.c.id.distinct())) == LINES - 20
print(f"{report.orders} orders, each once; {report.rejected} lines rejected; {len(job.attempts())} attempts")

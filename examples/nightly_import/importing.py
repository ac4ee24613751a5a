"""A nightly import: each line of a file becomes one row, however often the worker is killed meanwhile.

Rows and the place in the file are committed together, in the ledger's database; so are the report and the job's success.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from perdure import JobContext, Perdure
from perdure.stores.sources.cursor import Batches
from perdure.stores.sources.lines import TextLines

app = Perdure()
tables = MetaData()
# No unique key: a row that came twice would be there twice.
orders = Table("orders", tables, Column("id", String(20)), Column("cents", Integer))
rejected = Table("rejected", tables, Column("line", String(200)))
imports = Table("imports", tables, Column("path", String(200)), Column("orders", Integer), Column("rejected", Integer))


@app.periodic(cron="30 2 * * *", tz="Europe/Berlin", args=("orders.csv",))
@app.job(bulkhead="background")
def import_orders(ctx: JobContext, path: str) -> None:
    """Import a file, twenty lines a transaction."""
    for batch in (loop := ctx.iterate(Batches(TextLines(path), 20))):
        good, bad = split(batch)
        with ctx.transaction() as connection:
            if good:
                connection.execute(insert(orders), good)
            if bad:
                connection.execute(insert(rejected), bad)
            loop.save()
    with ctx.transaction(final=True) as connection:  # the report is there exactly if the job has succeeded
        counts = [connection.scalar(select(func.count()).select_from(table)) for table in (orders, rejected)]
        connection.execute(insert(imports).values(path=path, orders=counts[0], rejected=counts[1]))


def split(lines: list[str]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the rows of good lines, and those that cannot be read: they are for people, and stop nobody."""
    good: list[dict[str, object]] = []
    bad: list[dict[str, object]] = []
    for line in lines:
        name, _, cents = line.strip().partition(",")
        if cents.isdecimal():
            good.append({"id": name, "cents": int(cents)})
        else:
            bad.append({"line": line.strip()})
    return good, bad

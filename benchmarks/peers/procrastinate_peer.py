"""Procrastinate on PostgreSQL; finished jobs are kept, as is its default."""

import os

import effects
import procrastinate

CHUNK = 1000

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_POSTGRES"]))
append = app.task(name="append")(effects.append)


def prepare() -> None:
    """Open the pool, and make the tables once."""
    app.open()
    if not app.check_connection():
        app.schema_manager.apply_schema()


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    append.defer(number=number, seconds=seconds)


def submit_many(numbers: range, seconds: float) -> None:
    """Submit jobs a thousand at a time."""
    for at in range(0, len(numbers), CHUNK):
        append.batch_defer(*({"number": number, "seconds": seconds} for number in numbers[at : at + CHUNK]))

"""perdure, by what an application would use."""

import time

import effects

from perdure import Perdure

app = Perdure()
append = app.register(effects.append, name="bench.append")


@app.job(name="bench.hold")
def hold(number: int, seconds: float) -> None:
    """Append the record first, then sleep: for jobs whose worker is killed meanwhile."""
    effects.append(number)
    time.sleep(seconds)


def prepare() -> None:
    """Make the tables once."""
    app.ledger.upgrade()


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    append.submit(number, seconds)


def submit_many(numbers: range, seconds: float) -> None:
    """Submit jobs in bulk."""
    append.submit_many((number, seconds) for number in numbers)

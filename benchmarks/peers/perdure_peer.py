"""perdure, by what an application would use."""

import effects

from perdure import Perdure

app = Perdure()
append = app.register(effects.append, name="bench.append")


def prepare() -> None:
    """Make the tables once."""
    app.ledger.upgrade()


def submit(number: int, seconds: float) -> None:
    """Submit one job."""
    append.submit(number, seconds)


def submit_many(numbers: range, seconds: float) -> None:
    """Submit jobs in bulk."""
    append.submit_many((number, seconds) for number in numbers)

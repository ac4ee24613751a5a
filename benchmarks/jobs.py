"""perdure's side of the comparison."""

from perdure import Perdure

app = Perdure()


@app.job(name="noop")
def noop() -> None:
    """Do nothing."""

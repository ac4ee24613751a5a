"""The application that tests of Flower's pages show."""

from __future__ import annotations

from perdure import Perdure

app = Perdure()


@app.job(name="site.pay", retry="none")
def pay(order: str, password: str = "") -> str:
    return order


@app.job(name="site.divide", retry="none", breaker="site")
def divide(a: int, b: int) -> float:
    return a / b

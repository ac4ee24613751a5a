"""The jobs, apart from the API: workers import this module, and no FastAPI."""

from __future__ import annotations

from sqlalchemy import create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from perdure import JobContext, Perdure

app = Perdure()
engine = create_engine(app.settings.effective_ledger_url)  # the application's tables are in the ledger's database


class Base(DeclarativeBase):
    """The application's tables."""


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]
    paid: Mapped[bool] = mapped_column(default=False)


@app.job(bulkhead="critical")
def charge(ctx: JobContext, order: str, cents: int) -> dict[str, int]:
    """Note that an order is paid, exactly once: the row and the job's success are committed together."""
    with ctx.transaction(final=True) as connection:
        connection.execute(update(Order).where(Order.id == order).values(paid=True))
        ctx.set_result(paid := {order: cents})
    return paid

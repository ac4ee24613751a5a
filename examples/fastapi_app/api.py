"""A FastAPI application: an order and its job are in one transaction, so there is neither without the other.

Endpoints that submit are plain functions, which FastAPI runs in threads: SQLAlchemy and ``submit`` wait for the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from jobs import Base, Order, app, charge, engine
from pydantic import BaseModel
from sqlalchemy.orm import Session

from perdure.errors import BulkheadFull, IdempotencyConflict, JobNotFound


class NewOrder(BaseModel):
    """What a customer sends."""

    id: str
    cents: int


@asynccontextmanager
async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
    """Make the tables at the start; leave the ledger at the end."""
    app.ledger.upgrade()
    Base.metadata.create_all(engine)
    yield
    app.close()


api = FastAPI(lifespan=lifespan)


@api.post("/orders", status_code=202)
def order(new: NewOrder, idempotency_key: Annotated[str, Header()]) -> dict[str, str]:
    """Take an order. A client that has heard no answer sends it again under the same key, and gets the same job."""
    try:
        with Session(engine) as session, session.begin():
            job = charge.options(session=session, idempotency_key=idempotency_key).submit(new.id, new.cents)
            if not job.deduplicated:
                session.add(Order(id=new.id, cents=new.cents))
    except IdempotencyConflict as error:
        raise HTTPException(409, str(error)) from error
    except BulkheadFull as error:
        raise HTTPException(503, str(error), {"Retry-After": "10"}) from error
    return {"job": job.id}


@api.get("/jobs/{job_id}")
def job(job_id: str) -> dict[str, object]:
    """Say what became of a job."""
    try:
        found = app.jobs.get(job_id)
    except JobNotFound as error:
        raise HTTPException(404, str(error)) from error
    return {"state": str(found.state), "result": found.result() if found.state == "succeeded" else None}


@api.get("/healthz")
async def health() -> dict[str, str]:
    """Say whether the platform works; a report of the last five seconds will do."""
    return {"status": (await app.health.call_async(max_age=5)).status}

"""The Celery project as it was. Its worker goes on: for what is not adopted, and for what waits in Redis from before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

celery = Celery("shop", broker=os.environ.get("CELERY_URL", "redis://127.0.0.1:6379/0"))
celery.conf.task_ignore_result = True


@celery.task(bind=True, name="shop.charge", max_retries=5, default_retry_delay=60)
def charge(self: Any, order: str, cents: int) -> None:
    """Charge an order. It is lost with Redis, and with a worker that is killed."""
    try:
        with Path("charged").open("a") as file:
            file.write(f"{order} {cents} {self.request.id}\n")
        thumbnail.delay(f"{order}.png")
    except ConnectionError as error:
        raise self.retry(exc=error) from error


@celery.task(name="shop.thumbnail")
def thumbnail(picture: str) -> None:
    """Make a small picture."""
    Path(picture).touch()

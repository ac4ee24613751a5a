"""Lines of the worker's log: each one inside a job says for which, as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure.model.masking import NOTHING, Masker
from perdure_workers import logs
from perdure_workers.logs import FORMAT, JsonFormatter, SafeFormatter, between_jobs, in_job, in_worker
from support.claims import claim

shop = logging.getLogger("shop")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[logging.Formatter], Callable[[], list[str]]]]:
    """Has a formatter write what ``shop`` logs, and returns the lines so far."""
    monkeypatch.setattr(logs, "_process", {})
    handlers = []

    def written_by(formatter: logging.Formatter) -> Callable[[], list[str]]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        handlers.append(handler)
        shop.addHandler(handler)
        return lambda: stream.getvalue().splitlines()

    yield written_by
    between_jobs()
    for handler in handlers:
        shop.removeHandler(handler)


def job() -> Any:
    return claim(job_id="j-1", task="shop.add", attempt=2, worker_name="w@h", bulkhead="critical")


def test_text(lines: Any) -> None:
    written = lines(SafeFormatter(FORMAT))
    in_job(job(), NOTHING)
    shop.warning("slow\n2026-01-01 forged")
    between_jobs()
    shop.warning("idle")
    during, after = written()
    assert during.endswith("shop: slow\\n2026-01-01 forged [job=j-1 task=shop.add attempt=2 worker=w@h bulkhead=critical]")
    assert after.endswith("shop: idle")


def test_json(lines: Any) -> None:
    written = lines(JsonFormatter())
    in_worker("w@h", "critical")
    in_job(job(), Masker(["hunter2-4711"]))
    try:
        raise ValueError("hunter2-4711")
    except ValueError:
        shop.exception("card %s\n", "hunter2-4711")
    between_jobs()
    shop.warning("idle")
    during, after = map(json.loads, written())
    assert during.items() >= {
        "level": "ERROR", "logger": "shop", "message": "card ***\n", "job": "j-1", "task": "shop.add", "attempt": 2,
        "worker": "w@h", "bulkhead": "critical",
    }.items()  # fmt: skip
    assert during["exception"].endswith("ValueError: ***")
    assert after.keys() == {"time", "level", "logger", "process", "message", "worker", "bulkhead"}


@pytest.mark.parametrize(("name", "expected"), [("pool-1", True), ("perdure-slice", False)])
def test_threads_of_the_job_speak_for_it_and_the_platforms_own_do_not(lines: Any, name: str, expected: bool) -> None:
    written = lines(JsonFormatter())
    in_job(job(), NOTHING)
    thread = threading.Thread(target=lambda: shop.warning("x"), name=name)
    thread.start()
    thread.join()
    assert ("job" in json.loads(written()[0])) is expected

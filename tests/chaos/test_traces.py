"""A trace goes through real processes: who submits, a worker's children, and what these submit."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

HERE = Path(__file__).parent


def spans_in(folder: Path) -> list[dict[str, Any]]:
    file = folder / "spans"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("exported", ["while the children live", "at their end"])
def test_one_trace_over_processes(
    sqlite_url: str, redis_url: str, tmp_path: Path, exported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from traced_jobs import build

    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100" if exported == "while the children live" else "3600000")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(shutdown_on_exit=False))
    cluster = Cluster(build, "traced_jobs", HERE, tmp_path, sqlite_url, redis_url)
    try:
        worker = cluster.worker("w")
        with trace.get_tracer("shop").start_as_current_span("checkout") as checkout:
            job = cluster.app.task("outer").submit()
        job.wait(PATIENCE)
        inner = cluster.app.jobs.get(job.result())
        inner.wait(PATIENCE)
        children = worker.children()
        if exported == "at their end":
            assert spans_in(tmp_path) == []
            worker.signal(signal.SIGTERM)
            worker.exit_code()
        names = ["process outer", "process outer", "step who", "submit inner", "process inner"]
        wait_until(lambda: sorted(span["name"] for span in spans_in(tmp_path)) == sorted(names), PATIENCE)
    finally:
        cluster.close()
    spans = spans_in(tmp_path)
    trace_id = f"0x{checkout.get_span_context().trace_id:032x}"
    assert {span["context"]["trace_id"] for span in spans} == {trace_id}
    assert {span["pid"] for span in spans} <= set(children)
    ids = {span["context"]["span_id"]: span["name"] for span in spans}
    parents = {span["name"]: ids.get(span["parent_id"]) for span in spans}
    assert parents == {
        "process outer": None, "step who": "process outer",
        "submit inner": "process outer", "process inner": "submit inner",
    }  # fmt: skip

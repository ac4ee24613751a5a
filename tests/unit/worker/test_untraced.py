"""Who does not trace pays for nothing: no span, no object, no import."""

from __future__ import annotations

import json
import sys

import pytest

from perdure.model.new_job import NewJob
from perdure.submit.send_span import sending
from perdure.system.tracing import flush, span, trace_id_of, tracer
from perdure_workers.worker.attempt_span import attempt_span
from support.claims import claim


@pytest.fixture(params=["without the package", "not set up"], autouse=True)
def _without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without the package":
        monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)


def test_nothing_is_made() -> None:
    assert tracer() is None
    assert span("a") is span("b", "client", {"c": 1})
    assert attempt_span(claim(), seals=False) is attempt_span(claim(2), seals=True)
    jobs = [NewJob("j", "shop.buy", "normal", "[]", "{}", "digest")]
    with sending(jobs) as sent:
        assert sent is jobs
    flush(1.0)


def test_a_trace_that_came_along_is_still_named_in_the_log() -> None:
    given = f"00-{'ab' * 16}-{'cd' * 8}-01"
    tags = json.dumps({"traceparent": given, "replayed_traceparent": given})
    with attempt_span(claim(tags=tags), seals=False) as made:
        assert made.trace_id == "ab" * 16


@pytest.mark.parametrize("wrong", [None, "", "x", "00-ab-cd-01", "00"])
def test_what_is_no_context_has_no_trace(wrong: str | None) -> None:
    assert trace_id_of(wrong) == ""

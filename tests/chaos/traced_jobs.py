"""An application that traces: its spans go to a file, by the processor that OpenTelemetry's SDK has for production."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from perdure import JobContext, Perdure, RetryPolicy

FILE = Path(os.environ.get("CHAOS_FOLDER", ".")) / "spans"


class ToFile(SpanExporter):
    """Appends each span to a file as a line of JSON, with the process that it is of."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with FILE.open("a") as file:
            file.writelines(json.dumps({"pid": os.getpid(), **json.loads(span.to_json())}) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = Perdure(**settings)

    @app.job(name="outer", retry=RetryPolicy(max_retries=1, base=0.01))
    def outer(ctx: JobContext) -> str:
        if ctx.attempt == 1:
            raise ValueError("once")
        return inner.submit(ctx.step("who", os.getpid)).id

    @app.job(name="inner")
    def inner(pid: int) -> int:
        return pid

    return app


if "CHAOS_FOLDER" in os.environ:  # in the platform's own processes
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ToFile()))
    trace.set_tracer_provider(provider)
    app = build()

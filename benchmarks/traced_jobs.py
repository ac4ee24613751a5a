"""The same application with OpenTelemetry, whose spans are made, batched and encoded, and go nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.watched_jobs import app


class Encoded(SpanExporter):
    """Encodes spans and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode them."""
        for span in spans:
            span.to_json()
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Encoded()))
trace.set_tracer_provider(provider)
__all__ = ["app"]

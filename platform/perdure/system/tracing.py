"""Spans of OpenTelemetry, where the application has set up tracing; elsewhere nothing is loaded and nothing happens.

Whether there is anybody to tell is one look into ``sys.modules``: who has not imported the package has set up nothing.
Errors are told by their types alone: their texts may hold secrets, and those of jobs are told where they have been masked.

The names of spans and attributes are those of OpenTelemetry's semantic conventions for messaging (1.37 and later: operation
name and type, destination); what these do not know is in the namespace ``perdure``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer

Kind = Literal["internal", "client", "producer", "consumer"]

#: The headers of W3C Trace Context, and that of the trace which a replay goes back to. A job carries them among its tags.
TRACEPARENT, TRACESTATE, REPLAYED = "traceparent", "tracestate", "replayed_traceparent"
#: Tags that nobody looks for, so that no index has them.
CARRIED = frozenset({TRACEPARENT, TRACESTATE, REPLAYED})

_NOTHING: AbstractContextManager[None] = nullcontext()
#: The provider that was asked last, and its tracer.
_made: tuple[Any, Any] = (None, None)


def tracer() -> Tracer | None:
    """Return what makes spans; None when the application has set up no tracing."""
    global _made
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider):  # nobody has set one
        return None
    if _made[0] is not provider:
        _made = provider, provider.get_tracer("perdure", version("perdure"))
    found: Tracer = _made[1]
    return found


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Mapping[str, Any] | None = None,
    *,
    carrier: Mapping[str, str] | None = None,
    links: Sequence[Link] = (),
    ends: bool = True,
) -> AbstractContextManager[Span | None]:
    """Return a context whose block is a span; without tracing a context that does nothing.

    Args:
        name: The span's name, one of few.
        kind: What part the block plays.
        attributes: What is known of it before it begins; values that are None are left out.
        carrier: The context that it belongs to; None for the one of this moment.
        links: What else it has to do with.
        ends: Whether the span ends with the block; else it has to be ended, and one that is not is told to nobody.
    """
    maker = tracer()
    return _NOTHING if maker is None else _span(maker, name, kind, attributes or {}, carrier, links, ends=ends)


@contextmanager
def _span(
    maker: Tracer,
    name: str,
    kind: Kind,
    attributes: Mapping[str, Any],
    carrier: Mapping[str, str] | None,
    links: Sequence[Link],
    *,
    ends: bool,
) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind

    how: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False, "end_on_exit": ends}
    with maker.start_as_current_span(
        name,
        context=None if carrier is None else _propagator().extract(carrier),
        kind=SpanKind[kind.upper()],
        attributes={name: value for name, value in attributes.items() if value is not None},
        links=links,
        **how,
    ) as made:
        try:
            yield made
        except BaseException as error:
            failed(made, type(error).__qualname__)
            raise


def failed(of: Span, error_type: str) -> None:
    """Say that what a span tells of failed, and with which type of error."""
    from opentelemetry.trace import StatusCode

    of.set_attribute("error.type", error_type)
    of.set_status(StatusCode.ERROR)


def carrier_of(of: Span) -> dict[str, str]:
    """Return a span's context as headers that go with a message."""
    from opentelemetry.trace import set_span_in_context

    carrier: dict[str, str] = {}
    _propagator().inject(carrier, set_span_in_context(of))
    return carrier


def link_to(carrier: Mapping[str, str], **attributes: str) -> Link | None:
    """Return a link to the span whose context a message carries; None when it carries none that can be read."""
    from opentelemetry.trace import Link, get_current_span

    context = get_current_span(_propagator().extract(carrier)).get_span_context()
    return Link(context, attributes) if context.is_valid else None


def trace_id_of(traceparent: str | None) -> str:
    """Return the trace's id within a ``traceparent``, 32 hexadecimal digits; empty when there is none."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else ""


def flush(timeout: float) -> None:
    """Hand over the spans that wait in this process: a worker's child ends without Python's own exit.

    Args:
        timeout: Seconds to wait at most; exporters have their own ideas of how long they try.
    """
    if tracer() is not None and (hand_over := getattr(_made[0], "force_flush", None)) is not None:
        thread = threading.Thread(target=hand_over, daemon=True)
        thread.start()
        thread.join(timeout)


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()

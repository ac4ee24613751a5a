"""The span of an attempt: a child of the submit's, whose context the job carries, with a link to what it is a replay of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import msgspec

from perdure.model.records import Claim, Settlement
from perdure.model.states import Outcome, Transition
from perdure.system.tracing import REPLAYED, TRACEPARENT, failed, link_to, span, trace_id_of, tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span

#: How attempts end that did what they were to do, or were told to stop.
_FINE = frozenset({Outcome.SUCCEEDED, Outcome.SNOOZED, Outcome.HANDED_BACK, Outcome.CANCELLED})


class AttemptSpan:
    """What is told of one attempt to whoever traces; nothing when nobody does.

    Args:
        made: Its span.
        trace_id: The trace's id, 32 hexadecimal digits; empty for none.
        seals: Whether errors are encrypted in the ledger; then they do not go into a trace either.
    """

    def __init__(self, made: Span | None, trace_id: str, *, seals: bool) -> None:
        self._made, self.trace_id, self._seals = made, trace_id, seals

    def ended(self, settlement: Settlement) -> None:
        """Tell how the attempt ended, by a settlement whose secrets are masked; one that never began is not told of."""
        if self._made is None or settlement.transition is Transition.RELEASE:
            return
        if settlement.outcome is not None:
            self._made.set_attribute("perdure.outcome", settlement.outcome.value)
        if settlement.outcome not in _FINE:
            failed(self._made, settlement.error_type or "_OTHER")
            self._made.add_event("exception", _as_exception(settlement, seals=self._seals))
        self._made.end()


#: That of a job without a trace where nobody traces: nothing is made for it.
_UNTOLD = nullcontext(AttemptSpan(None, "", seals=True))


def attempt_span(claim: Claim, *, seals: bool) -> AbstractContextManager[AttemptSpan]:
    """Return a context within which an attempt runs; its span ends when it is told how the attempt did.

    Args:
        claim: The attempt's claim.
        seals: Whether errors are encrypted in the ledger.
    """
    return _UNTOLD if not claim.tags and tracer() is None else _attempt_span(claim, seals=seals)


@contextmanager
def _attempt_span(claim: Claim, *, seals: bool) -> Iterator[AttemptSpan]:
    carried = _carried(claim)
    known = {
        "messaging.system": "perdure",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": claim.bulkhead,
        "messaging.message.id": claim.job_id,
        "messaging.client.id": claim.worker_name,
        "perdure.task": claim.task,
        "perdure.attempt": claim.attempt,
        "perdure.replay_of": claim.replay_of,
    }
    links = _links(carried) if tracer() is not None else []
    with span(f"process {claim.task}", "consumer", known, carrier=carried, links=links, ends=False) as made:
        trace_id = f"{made.get_span_context().trace_id:032x}" if made else trace_id_of(carried.get(TRACEPARENT))
        yield AttemptSpan(made, trace_id, seals=seals)


def _links(carried: Mapping[str, str]) -> list[Link]:
    before = link_to({TRACEPARENT: carried[REPLAYED]}, **{"perdure.link": "replay_of"}) if REPLAYED in carried else None
    return [] if before is None else [before]


def _carried(claim: Claim) -> Mapping[str, str]:
    return msgspec.json.decode(claim.tags, type=dict[str, str]) if claim.tags and TRACEPARENT in claim.tags else {}


def _as_exception(settlement: Settlement, *, seals: bool) -> dict[str, str]:
    told = {"exception.type": settlement.error_type or "_OTHER"}
    if not seals:
        told |= {"exception.message": settlement.error or "", "exception.stacktrace": settlement.traceback or ""}
    return told

"""Making a :class:`LetterFilter` of what a caller names."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from perdure.errors import InvalidArguments, did_you_mean
from perdure.manage.jobs import as_tag
from perdure.model.dead_letter import STATUSES, LetterFilter
from perdure.model.moments import moment
from perdure.model.states import DeadReason
from perdure.model.text.error_names import stored_name

#: What letters are found by, as callers and the command line name it.
NAMES = ("task", "bulkhead", "error", "text", "fingerprint", "reason", "tag", "breaker", "since", "until", "status")

#: Where errors are that jobs die of and few processes load: people name them without their modules.
_OF_ERRORS = (
    "perdure.manage.primary_backup",
    "perdure.model.checkpoint_schema",
    "perdure.model.outcomes",
    "perdure.model.replication",
    "perdure.model.settlement",
    "perdure.model.storage_errors",
    "perdure.resilience.breaker.events",
    "perdure.resilience.limits.rate_limit",
    "perdure.resilience.redis.link",
    "perdure.resilience.service.call_key",
    "perdure.resilience.service.timeouts",
    "perdure.running.steps",
    "perdure.system.extras",
)


def letter_filter(**named: Any) -> LetterFilter:
    """Return the filter that a caller describes.

    Args:
        named: The fields of :class:`LetterFilter`; times may be datetimes or texts such as ``2h`` and ``yesterday``, the
            tag ``"tenant=a"``. None and empty texts count as not given.

    Raises:
        InvalidArguments: A name or a value is not allowed; the message says what is.
    """
    given = {name: value for name, value in named.items() if value not in (None, "")}
    for name in given:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES)
            raise InvalidArguments(f"dead letters are not found by {name!r}.{hint} Allowed: {', '.join(NAMES)}")
    _check("status", given.get("status"), STATUSES)
    _check("reason", given.get("reason"), [reason.value for reason in DeadReason])
    for name in ("since", "until"):
        if name in given:
            given[name] = moment(name, given[name])
    if "error" in given:
        for module in _OF_ERRORS:
            import_module(module)
        given["error"] = stored_name(given["error"])
    if "tag" in given:
        given["tag"] = as_tag(given["tag"])
    return LetterFilter(**given)


def _check(name: str, value: str | None, allowed: list[str] | tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        hint = did_you_mean(str(value), allowed)
        raise InvalidArguments(f"{name}={value!r} is not known.{hint} Allowed: {', '.join(allowed)}")

"""How a job is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from perdure.errors import InvalidArguments
from perdure.model.clock import LONGEST_DELAY

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, scoped_session

#: Longest idempotency key and value of a tag, and longest name of a tag, in characters.
MAX_TEXT = 255
MAX_TAG = 64


class SubmitOptions(Struct, frozen=True):
    """How a job is submitted.

    Args:
        idempotency_key: A second submit of the task with this key returns the first job, within ``idempotency_ttl``.
        idempotency_ttl: Seconds for which the key is kept; None for the setting.
        delay: Seconds to wait before the job may run.
        run_at: The moment from which the job may run.
        priority: 0 (first) to 9 (last) within the bulkhead; None for the task's own.
        bulkhead: Where to run it; None for the task's own.
        tags: Names and values by which jobs are found.
        session: The caller's SQLAlchemy session on the ledger's database: the job commits and rolls back with it.
        deadline: The moment after which the job is not to run any more.
        timeout: Seconds that one attempt may run; None for the task's own.

    Raises:
        InvalidArguments: A value is not allowed; the message names the option.
    """

    idempotency_key: str | None = None
    idempotency_ttl: float | None = None
    delay: float | None = None
    run_at: datetime | None = None
    priority: int | None = None
    bulkhead: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    session: Session | scoped_session[Session] | None = None
    deadline: datetime | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.run_at is not None:
            raise InvalidArguments("give delay= or run_at=, not both")
        if not (self.delay is None or (_is_number(self.delay) and 0 <= self.delay <= LONGEST_DELAY)):
            raise InvalidArguments(f"delay={self.delay!r} must be a number of seconds from 0 to a hundred years")
        for name in ("run_at", "deadline"):
            moment = getattr(self, name)
            if moment is not None and not isinstance(moment, datetime):
                raise InvalidArguments(f"{name}={moment!r} must be a datetime")
        for name in ("timeout", "idempotency_ttl"):
            seconds = getattr(self, name)
            if not (seconds is None or (_is_number(seconds) and 0 < seconds <= LONGEST_DELAY)):
                raise InvalidArguments(f"{name}={seconds!r} must be a positive number of seconds")
        if self.priority is not None and self.priority not in range(10):
            raise InvalidArguments(f"priority={self.priority!r} must be from 0 (first) to 9 (last)")
        key = self.idempotency_key
        if key is not None and not (key and _is_text(key, MAX_TEXT)):
            raise InvalidArguments(f"idempotency_key={key!r:.80} must be a text of 1 to {MAX_TEXT} characters, without NUL")
        _check_tags(self.tags)

    def within(self, common: SubmitOptions) -> SubmitOptions:
        """Return the options of one call among many: its own, and the common ones where it has none; tags are joined.

        Raises:
            InvalidArguments: It has a session of its own: all calls commit together.
        """
        own = {name: value for name, value in asdict(self).items() if value not in (None, {})}
        if not own:
            return common
        if "session" in own:
            raise InvalidArguments("session= is for all calls: give it to options() before submit_many(), not to a call")
        if own.keys() & {"delay", "run_at"}:
            common = replace(common, delay=None, run_at=None)
        if "tags" in own:
            own["tags"] = {**common.tags, **self.tags}
        return replace(common, **own)


class Call(Struct, frozen=True):
    """One call among those of ``submit_many``, with options of its own; made by ``task.call(...)``.

    Args:
        task: The task's name.
        args: Positional arguments.
        kwargs: Keyword arguments.
        how: How this one is submitted.
    """

    task: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    how: SubmitOptions


def _check_tags(tags: Any) -> None:
    if not isinstance(tags, Mapping):
        raise InvalidArguments(f"tags={tags!r:.80} must be a dict of texts")
    for tag, value in tags.items():
        if not (_is_text(tag, MAX_TAG) and _is_text(value, MAX_TEXT)):
            raise InvalidArguments(
                f"tags: {tag!r:.80}={value!r:.80} must be short texts ({MAX_TAG} and {MAX_TEXT} characters), without NUL"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(value: Any, longest: int) -> bool:
    """Whether a database can store the text: no NUL, no lone surrogates."""
    if not isinstance(value, str) or len(value) > longest or "\x00" in value:
        return False
    return value.isprintable() or value.encode("utf-8", "replace").decode() == value

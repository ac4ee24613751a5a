"""Dead letters as lines of JSON, to move them from one environment to another."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec

from perdure.clock import to_epoch
from perdure.errors import InvalidArguments
from perdure.ledger.records import AttemptRecord, DeadLetterRecord

FORMAT = 1
_SAME = (
    *("id", "job_id", "task", "bulkhead", "reason", "error_type", "error", "traceback", "fingerprint", "attempt"),
    *("crashes", "priority", "timeout", "checkpoint_seq", "breaker", "replay_of", "note"),
)


def to_line(letter: DeadLetterRecord, attempts: Sequence[AttemptRecord]) -> str:
    """Return a letter with its attempts as one line of JSON."""
    values = dataclasses.asdict(letter) | {
        "format": FORMAT,
        "history": [dataclasses.asdict(attempt) for attempt in attempts],
        "raw": None if letter.raw is None else base64.b64encode(letter.raw).decode(),
    }
    return msgspec.json.encode(values).decode()


def from_line(line: str, number: int = 1) -> dict[str, Any]:
    """Return the columns of an exported letter.

    Its status, and by whom it was replayed as what, stay behind: those are of the environment that it comes from.

    Raises:
        InvalidArguments: The line is no exported letter; the message says which line.
    """
    try:
        values = msgspec.json.decode(line, type=dict[str, Any])
        if values["format"] != FORMAT:
            raise InvalidArguments(f"line {number}: format {values['format']!r} is not known; this release reads {FORMAT}")
        letter = msgspec.convert(values | {"raw": None}, DeadLetterRecord)
        raw = None if values["raw"] is None else base64.b64decode(values["raw"])
    except (msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
        raise InvalidArguments(f"line {number} is no exported dead letter: {error!r}") from error
    return {
        **{name: getattr(letter, name) for name in _SAME},
        **{name: msgspec.json.encode(getattr(letter, name)).decode() for name in ("args", "kwargs", "history")},
        "tags": msgspec.json.encode(letter.tags).decode() if letter.tags else None,
        "created_at": to_epoch(letter.created_at),
        "raw": raw,
    }


def attempts_of(history: Sequence[dict[str, Any]]) -> list[AttemptRecord]:
    """Return the attempts of an imported letter."""
    return msgspec.convert(list(history), list[AttemptRecord])

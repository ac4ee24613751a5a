"""Text of a CSV field to the value that a column wants."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column

from perdure.model.text.cut import cut

Converter = Callable[[str], Any]

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?|[+-]?(inf|infinity)|nan", re.ASCII | re.IGNORECASE)


class BadValue(ValueError):
    """A record does not fit its table; the message says why."""


class UnsupportedColumn(TypeError):
    """A column has a type that no CSV field can be turned into."""


class RowMaker:
    """Turns records into rows.

    Args:
        columns: The target columns, in the order of the file's header.

    Raises:
        UnsupportedColumn: A column's type has no text form here.
    """

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self._columns = [(column.name, converter(column)) for column in columns]

    def row(self, fields: Sequence[str]) -> dict[str, Any]:
        """Return a record as a row.

        Raises:
            BadValue: A field is missing, too many or does not fit its column.
        """
        if len(fields) != len(self._columns):
            raise BadValue(f"has {len(fields)} fields, not {len(self._columns)}")
        row = {}
        for (name, convert), text in zip(self._columns, fields, strict=True):
            try:
                row[name] = convert(text)
            except (ValueError, InvalidOperation, OverflowError, RecursionError) as error:
                detail = str(error) if isinstance(error, BadValue) else f"{_shown(text)} does not fit"
                raise BadValue(f"{name}: {detail}") from None
        return row


def converter(column: Column[Any]) -> Converter:
    """Return what turns a field into the column's value.

    An empty field is NULL; in a text column that must not be NULL it is the empty text.

    Raises:
        UnsupportedColumn: The column's type has no text form here.
    """
    kind = _kind(column)
    convert = _CONVERTERS.get(kind)
    if kind is str:
        convert = _text(getattr(column.type, "length", None))
    elif kind is datetime:
        convert = _datetime(bool(getattr(column.type, "timezone", False)))
    if convert is None:
        raise UnsupportedColumn(f"column {column.name!r} is {column.type}, for which a CSV field has no form here")
    return _with_empty(convert, column, kind)


def _kind(column: Column[Any]) -> type:
    if isinstance(column.type, JSON):
        return dict
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = object
    return str if kind is object else kind  # types without one of their own: the database reads the text


def _with_empty(convert: Converter, column: Column[Any], kind: type) -> Converter:
    def of_field(text: str) -> Any:
        if text != "":
            return convert(text if kind is str else text.strip())
        if column.nullable:
            return None
        if kind is str:
            return ""
        raise BadValue("is empty and must not be")

    return of_field


def _text(length: int | None) -> Converter:
    def convert(text: str) -> str:
        if length is not None and len(text) > length:
            raise BadValue(f"has {len(text)} characters, at most {length} fit")
        return text

    return convert


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise BadValue(f"{_shown(text)} is no whole number")
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise BadValue(f"{_shown(text)} does not fit 64 bits")
    return value


def _number(kind: type) -> Converter:
    def convert(text: str) -> Any:
        if not _NUMBER.fullmatch(text):  # Python takes 1_000 for a number; a CSV file does not mean that
            raise BadValue(f"{_shown(text)} is no number")
        return kind(text)

    return convert


def _boolean(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise BadValue(f"{_shown(text)} is neither true nor false")
    return word in _TRUE


def _datetime(has_zone: bool) -> Converter:
    """Return a reader of ISO 8601 moments; one without an offset is UTC, and columns without a zone hold UTC."""

    def convert(text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadValue(f"{_shown(text)} is no moment such as 2026-01-31T12:00:00+01:00") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment if has_zone else moment.astimezone(UTC).replace(tzinfo=None)

    return convert


def _binary(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise BadValue(f"{_shown(text)} is no JSON") from None


def _shown(text: str) -> str:
    return repr(cut(text, 60))


_CONVERTERS: dict[type, Converter] = {
    int: _integer,
    float: _number(float),
    Decimal: _number(Decimal),
    bool: _boolean,
    date: date.fromisoformat,
    time: time.fromisoformat,
    UUID: UUID,
    bytes: _binary,
    dict: _json,
    list: _json,
}

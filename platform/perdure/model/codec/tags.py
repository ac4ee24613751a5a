"""Values that JSON has no form for, as tagged objects: ``{"$": "datetime", "v": "2026-01-02T03:04:05"}``.

What is written says all that the value is: two values are the same exactly if they are written the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from perdure.errors import Unserialisable

TAG, VALUE = "$", "v"

T = TypeVar("T")
Moment = TypeVar("Moment", datetime, time)


class Form(NamedTuple, Generic[T]):
    """How values of a type are written and read."""

    tag: str
    write: Callable[[T], Any]
    read: Callable[[Any], T]


def _write_moment(value: datetime | time) -> Any:
    """Return the ISO text, or that with the zone and the fold where the text does not say them."""
    zone = _written_zone(value.tzinfo)
    if zone is None and not value.fold:
        return value.isoformat()
    return [value.replace(tzinfo=None, fold=0).isoformat(), zone or _offset(value), value.fold]


def _offset(value: datetime | time) -> Any:
    offset = value.utcoffset()
    return None if offset is None else [_timedelta(offset), None]


def _written_zone(zone: tzinfo | None) -> Any:
    """Return a zone as its key, or as its offset with its name; None when ISO's offset says all of it."""
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    offset = zone.utcoffset(None)
    if offset is None:  # a zone of another library whose offset changes over the year
        raise Unserialisable(
            f"a time in the zone {zone!r:.60} has no JSON form. Use zoneinfo.ZoneInfo, or convert it: "
            "value.astimezone(datetime.UTC)"
        )
    name = zone.tzname(None)
    if type(zone) is timezone and name != timezone(offset).tzname(None):
        return [_timedelta(offset), name]
    # Python 3.11 reads negative offsets with fractions of a second wrong.
    return [_timedelta(offset), None] if offset.microseconds else None


def _read_zone(written: Any) -> tzinfo | None:
    if written is None:
        return None
    if isinstance(written, str):
        return ZoneInfo(written)
    offset, name = written
    return timezone(timedelta(*offset)) if name is None else timezone(timedelta(*offset), name)


def _read_moment(kind: type[Moment]) -> Callable[[Any], Moment]:
    def read(written: Any) -> Moment:
        if isinstance(written, str):
            return kind.fromisoformat(written)
        text, zone, fold = written
        return kind.fromisoformat(text).replace(tzinfo=_read_zone(zone), fold=fold)

    return read


def _timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


#: Types that come back as themselves even where nothing is annotated.
FORMS: dict[type, Form[Any]] = {
    datetime: Form("datetime", _write_moment, _read_moment(datetime)),
    date: Form("date", date.isoformat, date.fromisoformat),
    time: Form("time", _write_moment, _read_moment(time)),
    timedelta: Form("timedelta", _timedelta, lambda written: timedelta(*written)),
    UUID: Form("uuid", str, UUID),
    Decimal: Form("decimal", str, Decimal),
    bytes: Form("bytes", bytes.hex, bytes.fromhex),
}
READERS: dict[str, Callable[[Any], Any]] = {form.tag: form.read for form in FORMS.values()}

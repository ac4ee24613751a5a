"""CSV records and the offsets behind them."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import pytest

from perdure_tasks.importing import records
from perdure_tasks.importing.records import RecordReader


def read(data: bytes, **options: Any) -> Any:
    return list(RecordReader(io.BytesIO(data), **options))


def fields(data: bytes, **options: Any) -> Any:
    return [record.fields for record in read(data, **options)]


def test_quotes_delimiters_and_line_ends_within_a_field() -> None:
    data = b'a,"b,1"\r\n"line\nend","say ""hi"""\n\n\r\nlast,\xc3\xbc'
    got = read(data)
    assert [record.fields for record in got] == [["a", "b,1"], ["line\nend", 'say "hi"'], ["last", "ü"]]
    assert [record.line for record in got] == [1, 2, 6]
    assert not [record for record in got if record.error]


def test_going_on_behind_any_record_gives_the_rest() -> None:
    rng = random.Random(3)
    text = io.StringIO()
    writer = csv.writer(text)
    for _ in range(60):
        writer.writerow(["".join(rng.choices('aü\n",\r ', k=rng.randrange(9))), rng.random()])
    data = text.getvalue().encode()
    reader = RecordReader(io.BytesIO(data))
    whole, places = [], []
    for record in reader:
        whole.append(record)
        places.append((reader.offset, reader.line))
    assert len(whole) == 60
    for index, (offset, line) in enumerate(places):
        assert read(data, offset=offset, line=line) == whole[index + 1 :]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-8-sig"])
def test_byte_order_mark_is_skipped_once(encoding: Any) -> None:
    data = b"\xef\xbb\xbfname\n\xef\xbb\xbfx\n"
    assert fields(data, encoding=encoding) == [["name"], ["\ufeffx"]]


def test_other_encodings_and_delimiters() -> None:
    assert fields("größe;ort\n".encode("cp1252"), encoding="cp1252", delimiter=";") == [["größe", "ort"]]


def test_undecodable_bytes_are_the_record_s_own_trouble() -> None:
    bad, good = read(b"\xff,1\nx,2\n")
    assert bad.error == "has bytes that are not utf-8"
    assert bad.fields == ["\\xff", "1"]
    assert (good.fields, good.line, good.error) == (["x", "2"], 2, None)


def test_text_behind_a_closing_quote_is_malformed_with_all_its_lines() -> None:
    bad, good = read(b'1,"a\nb"c,d\n2,x\n')
    assert bad.error == "',' expected after '\"'"
    assert bad.fields == ['1,"a\nb"c,d']
    assert (good.fields, good.line) == (["2", "x"], 3)


def test_quote_that_is_never_closed_costs_its_own_line_only() -> None:
    got = read(b'1,x\n2,"open\n3,y\n4,z\n')
    assert [record.fields for record in got] == [["1", "x"], ['2,"open'], ["3", "y"], ["4", "z"]]
    assert [record.error for record in got] == [None, "a quote is not closed", None, None]
    assert [record.line for record in got] == [1, 2, 3, 4]


def test_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", 100)
    data = b'1,"open\n' + b"2,y\n" * 50 + b"3," + b"z" * 1000 + b"\n4,end\n"
    got = read(data)
    assert [record.error for record in got] == ["a quote is not closed", *[None] * 50, "is longer than 100 bytes", None]
    assert got[-1].fields == ["4", "end"]
    assert got[-1].line == 53


def test_long_fields_are_no_trouble() -> None:
    assert len(fields(b"a," + b"x" * 1_000_000 + b"\n")[0][1]) == 1_000_000


def test_nothing() -> None:
    assert fields(b"") == fields(b"\n\r\n") == fields(b"\xef\xbb\xbf") == []


@pytest.mark.parametrize(
    "options", [{"encoding": "utf-16"}, {"encoding": "klingon"}, {"delimiter": ""}, {"delimiter": "||"}]
)
def test_unusable_options(options: Any) -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        read(b"", **options)

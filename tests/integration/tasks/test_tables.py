"""``tables.import_csv`` into real databases."""

from __future__ import annotations

import csv
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Never

import pytest
import sqlalchemy as sa

from perdure import Discard
from perdure.errors import HandedBack
from perdure_tasks import tables
from perdure_tasks.errors import ImportOvertaken
from perdure_tasks.importing import marker as markers
from perdure_tasks.importing import target as targets
from perdure_tasks.importing.marker import imports
from support.context import RecordingContext

ITEMS = sa.Table(
    "items",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(20), nullable=False),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("seen", sa.DateTime),
    sa.Column("stock", sa.Integer, sa.CheckConstraint("stock >= 0"), server_default="7"),
)
NOTES = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("body", sa.JSON))


@pytest.fixture
def engine(migrated_url: str) -> Any:
    engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    ITEMS.create(engine)
    yield engine
    for table in (ITEMS, NOTES, imports):
        table.drop(engine, checkfirst=True)
    engine.dispose()


@pytest.fixture
def url(engine: Any) -> Any:
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    return tmp_path / "items.csv"


def rows(engine: Any) -> Any:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(ITEMS).order_by(ITEMS.c.id))]


def import_csv(file: Path, url: str, ctx: Any = None, **options: Any) -> Any:
    return tables.import_csv((ctx or RecordingContext()).given, str(file), url, "items", **options)


def rejects(result: Any) -> Any:
    with open(result["reject_path"], newline="") as file:
        return list(csv.reader(file))


def test_typed_rows_arrive_and_bad_ones_are_set_aside_with_line_and_reason(file: Path, url: str, engine: Any) -> None:
    file.write_text(
        '\ufeffid,name,price,seen\n1,"bolt, small",0.10,2026-01-31T12:00\n2,nut\n3,"screw\n(long)",,\n'
        'x,washer,1,\n5,gear,cheap,\n1,again,1,\n7,"open\n8,last,2.50,\n'
    )
    ctx = RecordingContext()
    result = import_csv(file, url, ctx)
    assert rows(engine) == [
        (1, "bolt, small", Decimal("0.10"), datetime(2026, 1, 31, 12), 7),
        (3, "screw\n(long)", None, None, 7),
        (8, "last", Decimal("2.50"), None, 7),
    ]
    assert (result["rows"], result["rejected"]) == (3, 5)
    header, *bad = rejects(result)
    assert header == ["line", "reason", "id", "name", "price", "seen"]
    assert [(line, reason) for line, reason, *_ in bad if line != "8"] == [
        ("3", "has 2 fields, not 4"),
        ("6", "id: 'x' is no whole number"),
        ("7", "price: 'cheap' is no number"),
        ("9", "a quote is not closed"),
    ]
    (taken,) = [fields for line, _, *fields in bad if line == "8"]
    assert taken == ["1", "again", "1", ""]
    assert ctx.reports[-1][:2] == (file.stat().st_size, file.stat().st_size)
    assert ctx.checkpoint.saved[-1] == {"byte_offset": file.stat().st_size, "rows": 3, "rejected": 5}


def test_what_the_database_refuses_is_rejected_row_by_row(file: Path, url: str, engine: Any) -> None:
    file.write_text("id,name,stock\n" + "".join(f"{n},n{n},{-1 if n % 10 == 0 else n}\n" for n in range(1, 41)))
    result = import_csv(file, url, batch_rows=25)
    assert (result["rows"], result["rejected"]) == (36, 4)
    assert len(rows(engine)) == 36
    assert [line for line, *_ in rejects(result)] == ["line", "11", "21", "31", "41"]
    assert "constraint" in rejects(result)[1][1].lower()


def test_no_rejects_no_file(file: Path, url: str) -> None:
    file.write_text("id,name\n1,a\n")
    stale = file.with_name("items.csv.items.rejects.csv")
    stale.write_text("of an earlier import")
    result = import_csv(file, url)
    assert result == {"rows": 1, "rejected": 0, "reject_path": None}
    assert stale.read_text() == "of an earlier import"
    assert sorted(path.name for path in file.parent.glob("*items*")) == ["items.csv", stale.name]


def test_header_alone_is_an_import_of_nothing(file: Path, url: str, engine: Any) -> None:
    file.write_text("id,name")
    assert import_csv(file, url) == {"rows": 0, "rejected": 0, "reject_path": None}
    assert rows(engine) == []


def test_empty_json_field_is_null_and_not_json_s_own_null(file: Path, url: str, engine: Any) -> None:
    NOTES.create(engine)
    file.write_text('id,body\n1,"{""a"": [1]}"\n2,\n')
    tables.import_csv(RecordingContext().given, str(file), url, "notes")
    with engine.connect() as connection:
        assert connection.scalar(sa.select(NOTES.c.body).where(NOTES.c.id == 1)) == {"a": [1]}
        assert connection.scalar(sa.select(sa.func.count()).where(NOTES.c.body.is_(sa.null()))) == 1


def test_upsert_replaces_rows_by_primary_key(file: Path, url: str, engine: Any) -> None:
    file.write_text("id,name,stock\n1,a,1\n2,b,2\n")
    import_csv(file, url, mode="upsert")
    file.write_text("id,name\n2,B\n3,c\n3,C\n")
    assert import_csv(file, url, mode="upsert")["rows"] == 3
    assert [row[:2] + row[4:] for row in rows(engine)] == [(1, "a", 1), (2, "B", 2), (3, "C", 7)]


def test_upsert_by_another_unique_column(file: Path, url: str, engine: Any) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE UNIQUE INDEX by_name ON items (name)"))
    file.write_text("id,name,stock\n1,a,1\n2,b,2\n")
    import_csv(file, url)
    file.write_text("id,name,stock\n9,b,5\n")
    import_csv(file, url, mode="upsert", key=["name"])
    assert [(row[0], row[1], row[4]) for row in rows(engine)] == [(1, "a", 1), (9, "b", 5)]


def test_upsert_where_the_database_s_own_form_is_unknown(
    file: Path, url: str, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "_insert", lambda table, header, key, dialect: None)
    file.write_text("id,name,stock\n1,a,1\n2,b,2\n1,A,-1\n1,AA,3\n")
    result = import_csv(file, url, mode="upsert")
    assert (result["rows"], result["rejected"]) == (3, 1)
    assert [(row[0], row[1], row[4]) for row in rows(engine)] == [(1, "AA", 3), (2, "b", 2)]


@pytest.mark.parametrize("stop", [HandedBack, KeyboardInterrupt])
def test_stopped_between_batches_and_taken_up_imports_each_row_once(file: Path, url: str, engine: Any, stop: Any) -> None:
    file.write_text("id,name\n" + "".join(f"{n},{'x' * (25 if n % 7 == 0 else 3)}\n" for n in range(100)))
    ctx = RecordingContext()

    def hook(state: Any) -> Never:
        raise stop

    ctx.checkpoint.on_save = hook
    for _ in range(4):
        with pytest.raises((HandedBack, KeyboardInterrupt)):
            import_csv(file, url, ctx, batch_rows=10)
    assert len(rows(engine)) + ctx.checkpoint.saved[-1]["rejected"] == 40
    ctx.checkpoint.on_save = None
    result = import_csv(file, url, ctx, batch_rows=10)
    assert (result["rows"], result["rejected"]) == (85, 15)
    assert [row[0] for row in rows(engine)] == [n for n in range(100) if n % 7]
    assert [line for line, *_ in rejects(result)[1:]] == [str(n + 2) for n in range(0, 100, 7)]


def test_crash_between_reject_file_and_commit_leaves_no_reject_twice(
    file: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("id,name\n" + "".join(f"{n if n % 3 else 'x'},a\n" for n in range(1, 31)))
    ctx = RecordingContext()
    save = markers.save

    def crash(connection: Any, key: str, marker: Any) -> None:
        if marker.rejected > 4:
            raise KeyboardInterrupt
        save(connection, key, marker)

    monkeypatch.setattr(markers, "save", crash)
    with pytest.raises(KeyboardInterrupt):
        import_csv(file, url, ctx, batch_rows=10)
    monkeypatch.setattr(markers, "save", save)
    result = import_csv(file, url, ctx, batch_rows=10)
    assert (result["rows"], result["rejected"]) == (20, 10)
    assert [line for line, *_ in rejects(result)[1:]] == [str(n) for n in range(4, 32, 3)]


def test_finished_import_does_nothing_again(file: Path, url: str, engine: Any) -> None:
    file.write_text("id,name\n1,a\nx,b\n")
    ctx = RecordingContext()
    first = import_csv(file, url, ctx)
    with engine.begin() as connection:
        connection.execute(ITEMS.delete())
    assert import_csv(file, url, ctx) == first
    assert rows(engine) == []


def test_key_used_again_after_its_import_was_done_imports_the_new_file(file: Path, url: str, engine: Any) -> None:
    file.write_text("id,name\n1,a\n")
    import_csv(file, url, RecordingContext(key="daily"))
    file.write_text("id,name\n22,b\n")
    assert import_csv(file, url, RecordingContext(key="daily"))["rows"] == 1
    assert [row[0] for row in rows(engine)] == [1, 22]


def test_file_that_changes_in_the_middle_of_its_import_is_refused(file: Path, url: str) -> None:
    file.write_text("id,name\n1,a\n2,b\n")

    def hook(state: Any) -> Never:
        raise HandedBack

    ctx = RecordingContext(on_save=hook)
    with pytest.raises(HandedBack):
        import_csv(file, url, ctx, batch_rows=1)
    file.write_text("id,name\n1,a\n2,b\n3,c\n")
    with pytest.raises(Discard, match=r"not the file with which import .* began: .*items\.csv of 16 bytes, 12 of which"):
        import_csv(file, url, ctx)


def test_second_run_of_the_same_import_cannot_write(file: Path, url: str, engine: Any) -> None:
    file.write_text("id,name\n" + "".join(f"{n},a\n" for n in range(20)))
    ctx, other = RecordingContext(key="k"), RecordingContext(key="k")

    def hook(state: Any) -> None:
        ctx.checkpoint.on_save = None
        import_csv(file, url, other)

    ctx.checkpoint.on_save = hook
    with pytest.raises(ImportOvertaken):
        import_csv(file, url, ctx, batch_rows=5)
    assert len(rows(engine)) == 20


def test_lost_reject_file_is_refused(file: Path, url: str) -> None:
    file.write_text("id,name\nx,a\n2,b\n")

    def hook(state: Any) -> Never:
        raise HandedBack

    ctx = RecordingContext(on_save=hook)
    with pytest.raises(HandedBack):
        import_csv(file, url, ctx, batch_rows=1)
    os.truncate(file.with_name("items.csv.items.rejects.csv"), 3)
    with pytest.raises(Discard, match=r"has 3 bytes and not the \d+ of rejects"):
        import_csv(file, url, ctx)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "the file is empty"),
        ("\n\n", {}, "the file is empty"),
        ('"id,name\n1,a\n', {}, "first record, .*a quote is not closed"),
        ("id,nmae\n", {}, r"'nmae' is no column\. Did you mean 'name'\? 'name' is missing and must not be NULL"),
        ("id,name,id\n", {}, "'id' is there 2 times"),
        ("id;name\n", {}, "'id;name' is no column"),
        ("id,name\n", {"mode": "upsert", "key": ["name"]}, r"\(name\) is not unique in table items"),
        ("id,name\n", {"mode": "upsert", "key": ["price"]}, "key column 'price' is not in the file's header"),
        ("id,name\n", {"batch_rows": 0}, "must be at least 1"),
        ("id,name\n", {"encoding": "utf-16"}, "encoding 'utf-16' cannot be used"),
        ("id,name\n", {"delimiter": "::"}, "delimiter '::' cannot be used"),
    ],
)
def test_what_does_not_fit_is_discarded_and_nothing_is_written(
    file: Path, url: str, engine: Any, content: Any, options: Any, message: str
) -> None:
    file.write_text(content)
    with pytest.raises(Discard, match=message):
        import_csv(file, url, **options)
    assert rows(engine) == []


def test_unknown_table_is_discarded(file: Path, url: str) -> None:
    file.write_text("id,name\n")
    with pytest.raises(Discard, match=r"no table 'item'\. Did you mean 'items'\?"):
        tables.import_csv(RecordingContext().given, str(file), url, "item")


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("no-such-db", "has no PERDURE_DATABASE_URL_NO_SUCH_DB"),
        ("klingon://u:s3cret@host/db", "URL or driver is unknown"),
        ("postgresql://u:s3cret@host:port/db", "URL or driver is unknown"),
    ],
)
def test_unusable_database_is_discarded_and_its_password_not_shown(file: Path, database: Any, message: str) -> None:
    file.write_text("id,name\n")
    with pytest.raises(Discard, match=message) as refused:
        import_csv(file, database)
    assert "s3cret" not in str(refused.value)


def test_database_by_name(file: Path, url: str, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_DATABASE_URL_SHOP", url)
    file.write_text("id,name\n1,a\n")
    assert import_csv(file, "shop")["rows"] == 1


def test_database_that_is_away_is_worth_a_retry(file: Path) -> None:
    file.write_text("id,name\n")
    with pytest.raises(sa.exc.OperationalError):
        import_csv(file, "postgresql://u:s3cret@127.0.0.1:1/db")


def test_missing_file_is_worth_a_retry_and_reject_path_cannot_be_the_file(file: Path, url: str) -> None:
    with pytest.raises(FileNotFoundError):
        import_csv(file, url)
    file.write_text("id,name\n")
    with pytest.raises(Discard, match="is the file to import"):
        import_csv(file, url, reject_path=str(file))

"""A ledger's URL leads to the same database whether perdure reads it or SQLAlchemy."""

from __future__ import annotations

import pytest
from sqlalchemy import URL, make_url

from perdure.settings.ledger_url import for_sqlalchemy, ledger_url

URLS = [
    "postgres://u:p@[::1]:5433/d?sslmode=require",
    "postgresql+psycopg://u%40x:p%3Aq%2F@h/d?application_name=a%2Bb",
    "postgresql:///d",
    "postgresql://h/",
    "postgresql://h/d?options=-c%20x%3D1",
    "postgresql://h/d?port=5433",
    "postgresql://u%2C:p%40@h:5432/d",
    "postgresql://u:@h/d",
    "postgresql://u:p@/d?host=%2Fvar%2Frun%2Fpg",
    "postgresql://u:p@/d?host=/var/run/pg&port=5433",
    "postgresql://u:p@/d?host=::1",
    "postgresql://u:p@/d?host=a&host=b:5433",
    "postgresql://u:p@/d?host=a,b",
    "postgresql://u:p@/d?host=a,b&port=1,2",
    "postgresql://u:p@/d?host=a:5432",
    "postgresql://u:p@a:1,b,c:3/d?connect_timeout=7",
    "postgresql://u:p@x:1/d?host=a",
    "sqlite+pysqlite:///x.db?check_same_thread=false",
    "sqlite:////a/b c.db",
    "sqlite:///a.db",
    "sqlite:///a.db?cached_statements=5&timeout=3",
    "sqlite:///file:a.db?uri=true&nolock=1&vfs=x&timeout=4",
]


def as_text(arguments: dict[str, object]) -> dict[str, str]:
    """Numbers that the ledger sets, and SQLAlchemy's own, left out."""
    own = ("timeout", "check_same_thread", "context", "target_session_attrs")
    return {name: str(value) for name, value in arguments.items() if name not in own}


@pytest.mark.parametrize("text", URLS)
def test_the_driver_connects_as_sqlalchemy_would_have_it(text: str) -> None:
    url = make_url(for_sqlalchemy(text))
    positional, named = url.get_dialect()().create_connect_args(url)
    theirs = as_text({**named, **dict(zip(["database"], positional, strict=False))})
    assert as_text(ledger_url(text).arguments()) == theirs


@pytest.mark.parametrize("text", URLS)
def test_sqlalchemy_is_given_what_it_would_read(text: str) -> None:
    theirs = make_url(for_sqlalchemy(text))
    given = URL.create(**ledger_url(text)._asdict())
    assert given.difference_update_query(["target_session_attrs"]) == theirs


def test_a_name_may_have_percent_signs_whichever_sqlalchemy_is_there() -> None:  # only since 2.1 it reads them, too
    assert ledger_url("sqlite:////a/b%20c.db").arguments()["database"] == "/a/b c.db"
    assert ledger_url("postgresql://h/d%20x").arguments() == {"host": "h", "dbname": "d x"}


def test_options_of_perdure_s_own_are_none_of_the_driver_s() -> None:
    assert ledger_url("postgresql://h/d?pooler=none").arguments() == {"host": "h", "dbname": "d"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://h/d", "'mysql' is not supported"),
        ("nonsense", "that is no database URL"),
        ("postgresql+asyncpg://h/d", "perdure's driver is psycopg"),
        ("postgresql://h:99999/d", "from 1 to 65535"),
        ("postgresql://h:p/d", "the port must be a number"),
        ("postgresql://h/d?nosuch=1", "nosuch"),
        ("postgresql://h/d?pooler=session", "must be one of auto, transaction, none"),
        ("postgresql://u@/d?host=a:0&host=b", "the port a number"),
        ("postgresql://u@/d?host=a&host=b&port=1", "written behind it: NAME:PORT"),
        ("redis://h:p/x", "'redis' is not supported"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite://h/d", "has no host"),
    ],
)
def test_what_cannot_be_one_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ledger_url(text)

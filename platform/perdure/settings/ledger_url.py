"""The ledger's URL: which databases it may name, checked before anything connects."""

from __future__ import annotations

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

SCHEMES = ("sqlite", "postgresql", "postgres")
#: perdure's own option of a PostgreSQL URL; see :class:`perdure.ledger.pooler.Pooler`.
POOLER = "pooler"
WRITABLE = "target_session_attrs"
POOLERS = ("auto", "transaction", "none")
#: A PostgreSQL URL with several hosts, as libpq writes it: what comes before them, they, and what comes behind.
_HOSTS = re.compile(
    r"(?P<before>postgresql[^:]*://(?:[^/?]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<path>(?:/[^?]*)?)(?:\?(?P<query>.*))?"
)
_ONE_HOST = re.compile(r"[\w.-]+(?::(?P<port>\d+))?")
EXAMPLES = "Write it like postgresql://USER@HOST/NAME or sqlite:////absolute/path.db"


def with_driver(url: str) -> str:
    """Return a database URL with perdure's driver where it names none: psycopg for PostgreSQL."""
    scheme, colon, rest = url.partition(":")
    return f"postgresql+psycopg{colon}{rest}" if scheme in ("postgres", "postgresql") else url


def for_sqlalchemy(url: str) -> str:
    """Return a database URL as SQLAlchemy reads it: with a driver, and several hosts (a primary, its standbys) as options.

    libpq and every tool of PostgreSQL write ``HOST:PORT,HOST:PORT``; SQLAlchemy reads ``?host=HOST:PORT&host=HOST:PORT``.
    """
    found = _HOSTS.fullmatch(with_driver(url))
    if found is None:
        return with_driver(url)
    options = [f"host={host}" for host in found["hosts"].split(",")]
    return f"{found['before']}{found['path']}?{'&'.join(options + ([found['query']] if found['query'] else []))}"


def ledger_url(text: str) -> URL:
    """Return the URL of a ledger.

    Raises:
        ValueError: It cannot be one; the message says why and shows no part of it that may be a password.
    """
    scheme = text.partition(":")[0].partition("+")[0]
    try:
        url = make_url(for_sqlalchemy(text))
    except ArgumentError:
        raise ValueError(f"that is no database URL. {EXAMPLES}") from None
    except ValueError:
        if scheme not in SCHEMES:
            raise ValueError(f"{scheme!r} is not supported. Allowed: sqlite, postgresql") from None
        raise ValueError("the port must be a number (in a password, write : as %3A, / as %2F, @ as %40)") from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(f"{url.get_backend_name()!r} is not supported. Allowed: sqlite, postgresql")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("the port must be a number from 1 to 65535")
    check = _check_sqlite if url.get_backend_name() == "sqlite" else _check_postgresql
    check(url)
    several = isinstance(url.query.get("host"), tuple)
    # The first host that answers may be a standby, which takes no writes; a ledger is nothing without them.
    return url.update_query_dict({WRITABLE: "read-write", **url.query}) if several else url


def _check_sqlite(url: URL) -> None:
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError(f"{url.drivername}:// is not supported; write sqlite://")
    if url.host:
        raise ValueError("a SQLite file has no host: three slashes begin a relative path, four an absolute one")
    if not url.database or url.database == ":memory:" or "mode" in url.query:
        raise ValueError(
            "a ledger in memory cannot be shared by processes; name a file, such as sqlite:////var/lib/jobs.db"
        )


def _check_postgresql(url: URL) -> None:
    if url.drivername != "postgresql+psycopg":
        raise ValueError(f"{url.drivername}:// is not supported; write postgresql:// (perdure's driver is psycopg)")
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import make_conninfo
    except ImportError as error:
        raise ValueError(
            f"the driver of PostgreSQL is not installed ({error}). Install it with: pip install 'perdure[postgres]'"
        ) from None
    if url.query.get(POOLER, "auto") not in POOLERS:
        raise ValueError(f"?{POOLER}= must be one of {', '.join(POOLERS)}")
    hosts = url.query.get("host", "")
    for host in () if isinstance(hosts, str) else hosts:
        found = _ONE_HOST.fullmatch(host)
        if found is None or not 0 < int(found["port"] or 1) < 65536:
            raise ValueError("each of several hosts is written as NAME or NAME:PORT, the port a number from 1 to 65535")
    options = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    options.pop(POOLER, None)
    try:
        make_conninfo("", **options)
    except ProgrammingError as error:
        raise ValueError(str(error).strip().splitlines()[0]) from None

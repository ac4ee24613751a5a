"""The ledger's URL: which databases it may name, checked before anything connects."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

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
#: A database URL as SQLAlchemy reads it.
_URL = re.compile(
    r"(?P<drivername>\w[\w+]*)://"
    r"(?:(?P<username>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:(?:\[(?P<ipv6>[^/?]+)\]|(?P<name>[^/:?]+))?(?::(?P<port>[^/?]*))?)?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)
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


class LedgerUrl(NamedTuple):
    """A ledger's URL, taken apart: what SQLAlchemy makes its own of by the same names.

    Attributes:
        query: Options; several of one name are a tuple.
    """

    drivername: str
    username: str | None
    password: str | None
    host: str | None
    port: int | None
    database: str | None
    query: Mapping[str, str | tuple[str, ...]]

    @property
    def dialect(self) -> str:
        """The kind of database."""
        return self.drivername.partition("+")[0]

    def arguments(self) -> dict[str, Any]:
        """Return what the database's driver connects by: libpq's options, or arguments of ``sqlite3.connect``."""
        return _of_sqlite(self) if self.dialect == "sqlite" else _of_libpq(self)


#: Options of a SQLite URL that are the driver's own. Others that SQLAlchemy knows, the ledger has set for itself.
_OF_DRIVER: Mapping[str, Callable[[str], Any]] = {
    "cached_statements": int,
    "detect_types": int,
    "uri": lambda said: said.lower() in ("true", "yes", "on", "y", "t", "1"),
}
_SET = ("timeout", "check_same_thread", "isolation_level")


def _of_sqlite(url: LedgerUrl) -> dict[str, Any]:
    found = {name: read(str(url.query[name])) for name, read in _OF_DRIVER.items() if name in url.query}
    database = url.database or ""
    if not found.get("uri"):
        return {**found, "database": os.path.abspath(database)}
    others = [f"{name}={url.query[name]}" for name in sorted(url.query) if name not in (*_OF_DRIVER, *_SET)]
    return {**found, "database": f"{database}?{'&'.join(others)}" if others else database}


def _of_libpq(url: LedgerUrl) -> dict[str, Any]:
    given = {"host": url.host, "dbname": url.database, "user": url.username, "password": url.password, "port": url.port}
    found: dict[str, Any] = {name: value for name, value in given.items() if value} | dict(url.query)
    found.pop(POOLER, None)
    hosts = url.query.get("host", ())
    if isinstance(hosts, tuple):
        several = [host.partition(":") for host in hosts]
    elif "port" in url.query:
        return found
    elif _ONE_HOST.fullmatch(hosts):
        several = [hosts.partition(":")]
    else:
        several = [(host, "", "") for host in hosts.split(",")]
    if several:
        found["host"] = ",".join(name for name, _, _ in several)
    if ports := ",".join(port for _, _, port in several):
        found["port"] = ports
    return found


def ledger_url(text: str) -> LedgerUrl:
    """Return the URL of a ledger.

    Raises:
        ValueError: It cannot be one; the message says why and shows no part of it that may be a password.
    """
    scheme = text.partition(":")[0].partition("+")[0]
    found = _URL.match(for_sqlalchemy(text))
    if found is None:
        raise ValueError(f"that is no database URL. {EXAMPLES}")
    try:
        url = _taken_apart(found)
    except ValueError:
        if scheme not in SCHEMES:
            raise ValueError(f"{scheme!r} is not supported. Allowed: sqlite, postgresql") from None
        raise ValueError("the port must be a number (in a password, write : as %3A, / as %2F, @ as %40)") from None
    if url.dialect not in ("sqlite", "postgresql"):
        raise ValueError(f"{url.dialect!r} is not supported. Allowed: sqlite, postgresql")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("the port must be a number from 1 to 65535")
    check = _check_sqlite if url.dialect == "sqlite" else _check_postgresql
    check(url)
    several = isinstance(url.query.get("host"), tuple)
    # The first host that answers may be a standby, which takes no writes; a ledger is nothing without them.
    return url._replace(query={WRITABLE: "read-write", **url.query}) if several else url


def _taken_apart(found: re.Match[str]) -> LedgerUrl:
    query: dict[str, str | tuple[str, ...]] = {}
    for name, value in parse_qsl(found["query"] or ""):
        before = query.get(name, ())
        query[name] = (*((before,) if isinstance(before, str) else before), value) if name in query else value
    return LedgerUrl(
        drivername=found["drivername"],
        **{name: None if (text := found[name]) is None else unquote(text) for name in ("username", "password", "database")},
        host=found["name"] or found["ipv6"],
        port=int(found["port"]) if found["port"] else None,
        query=query,
    )


def _check_sqlite(url: LedgerUrl) -> None:
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError(f"{url.drivername}:// is not supported; write sqlite://")
    if url.host:
        raise ValueError("a SQLite file has no host: three slashes begin a relative path, four an absolute one")
    if not url.database or url.database == ":memory:" or "mode" in url.query:
        raise ValueError(
            "a ledger in memory cannot be shared by processes; name a file, such as sqlite:////var/lib/jobs.db"
        )


def _check_postgresql(url: LedgerUrl) -> None:
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
    if isinstance(hosts, tuple) and "port" in url.query:
        raise ValueError("the port of each of several hosts is written behind it: NAME:PORT")
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

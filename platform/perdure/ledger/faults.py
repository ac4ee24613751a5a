"""Whose fault an error of the database is: the database's own, or that of the statement that was run.

Python's classes do not tell: drivers report a full disk, a missing table (SQLite), a deadlock and a lost connection all as
``OperationalError``. The databases' own codes do.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

#: Classes of SQLSTATE in which PostgreSQL speaks of itself: connections, resources, its operator, its disks, its insides.
#: Of its operator's class only shutdowns: 57014 is a statement that was cancelled, as by its timeout.
_POSTGRESQL_ITSELF = ("08", "53", "57P", "58", "F0", "XX")
#: A standby, which takes no writes.
_READ_ONLY = "25006"
#: After an error in a transaction nothing more is done in it; somebody caught the error.
_ABORTED = "25P02"
#: The server ended a transaction that idled, or lasted, longer than it allows, and its connection with it. Who held it open
#: is to blame: taken for an outage, it would be begun anew for ever.
_OUTSTAYED = ("25P03", "25P04")

#: Primary result codes in which SQLite speaks of its file.
_SQLITE_ITSELF = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


#: What PEP 249 has drivers raise for mistakes of a statement or its values.
_MISTAKES = frozenset({"IntegrityError", "DataError", "ProgrammingError", "NotSupportedError"})


class Refused(Exception):
    """The database or its driver refused what was run on a connection of perdure's own; it has what SQLAlchemy's error has.

    Args:
        orig: The driver's error.
        statement: What was run, if anything was.
        connection_invalidated: Whether another connection may do what this one could not.
    """

    def __init__(self, orig: Exception, statement: str | None = None, *, connection_invalidated: bool = False) -> None:
        super().__init__(f"{type(orig).__name__}: {orig}" + ("" if statement is None else f"\n[SQL: {statement}]"))
        self.orig = orig
        self.connection_invalidated = connection_invalidated


def says_connection_is_dead(error: Exception) -> bool:
    """Return whether an error, of whatever kind, says that another connection may do what this one could not."""
    return bool(getattr(error, "connection_invalidated", False))


def is_about_the_ledger(error: Refused | DBAPIError) -> bool:
    """Return whether an error of perdure's own statement is about the database: these are right, so nearly all are."""
    if outstayed(error):
        return False
    if error.connection_invalidated:
        return True
    return _MISTAKES.isdisjoint(_kinds(error)) and _sqlstate(error) != _ABORTED


def breaks_a_constraint(error: BaseException) -> bool:
    """Return whether a statement would have left rows that a constraint does not allow."""
    return "IntegrityError" in _kinds(error)


def _kinds(error: BaseException) -> set[str]:
    """Return the names of an error's classes, and of those of the driver's error that it tells of."""
    return {kind.__name__ for one in (error, getattr(error, "orig", None)) for kind in type(one).__mro__}


def is_about_the_database(error: DBAPIError) -> bool:
    """Return whether an error of anybody's statement on a connection that was open is about the database.

    A statement that is wrong, breaks a constraint, waits too long for a lock, is cancelled or chosen to end a deadlock is
    not; nor is another database that cannot be connected to.
    """
    state, code = _sqlstate(error), getattr(error.orig, "sqlite_errorcode", None)
    if state is not None:
        return state.startswith(_POSTGRESQL_ITSELF) or state == _READ_ONLY
    return isinstance(code, int) and (code & 0xFF) in _SQLITE_ITSELF


def outstayed(error: Refused | DBAPIError) -> bool:
    """Return whether the server ended the transaction because it was held open for too long."""
    return _sqlstate(error) in _OUTSTAYED


def takes_no_writes(error: BaseException | None) -> bool:
    """Return whether a driver's error says that its server is a standby now, or was made read-only."""
    return getattr(error, "sqlstate", None) == _READ_ONLY


def _sqlstate(error: Refused | DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None

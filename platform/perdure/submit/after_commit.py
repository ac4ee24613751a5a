"""Submitting in the caller's own transaction: what waits for a SQLAlchemy session to commit.

A session's ``after_commit`` is also called when a savepoint is released, and nothing says which work a rollback to a
savepoint took back; so each piece of work remembers the (nested) transaction in which it was done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from perdure.errors import InvalidArguments
from perdure.ledger.engine import Database
from perdure.ledger.whereabouts import same_database
from perdure.model.text.masked_url import masked_url

Work = Callable[[list[Any]], object]


class AfterCommit:
    """Collects items of any number of sessions and passes each session's on when its transaction has committed.

    Args:
        work: Called with a session's items, in their order, after its outermost commit.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waiting: WeakKeyDictionary[Session, list[tuple[SessionTransaction | None, Any]]] = WeakKeyDictionary()

    def add(self, session: Session, item: Any) -> None:
        """Pass an item on when the session commits; forget it when what the session does now is rolled back."""
        if session not in self._waiting:
            self._waiting[session] = []
            self._listen(session)
        self._waiting[session].append((session.get_nested_transaction() or session.get_transaction(), item))

    def _listen(self, session: Session) -> None:
        # Once for each session and for as long as it lives: a listener must not be removed while events are passed on.
        event.listen(session, "after_commit", self._committed)
        event.listen(session, "after_soft_rollback", self._rolled_back)
        event.listen(session, "after_transaction_end", self._ended)

    def _committed(self, session: Session) -> None:
        if session.in_nested_transaction():
            return  # a savepoint was released; its work can still be rolled back
        items = [item for _, item in self._waiting[session]]
        self._waiting[session].clear()
        if items:
            self._work(items)

    def _rolled_back(self, session: Session, previous: SessionTransaction) -> None:
        kept = [entry for entry in self._waiting[session] if not _is_within(entry[0], previous)]
        self._waiting[session][:] = kept

    def _ended(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:  # also when the session was closed with neither commit nor rollback
            self._waiting[session].clear()


def as_session(given: Any) -> Session:
    """Return the session that was given as ``session=``, the current one of a scoped session.

    Raises:
        InvalidArguments: It is no (synchronous) SQLAlchemy session.
    """
    if isinstance(given, scoped_session):
        # The registry stands for all its sessions: listeners on it would hear of other threads' commits.
        given = given()
    if not isinstance(given, Session):
        raise InvalidArguments(
            f"session={given!r:.80} must be a SQLAlchemy Session. With an AsyncSession: "
            "await session.run_sync(lambda s: task.options(session=s).submit(...))"
        )
    return given


def check_database(session: Session, ledger: Database) -> None:
    """Refuse a session that is bound to another database than the ledger's.

    Raises:
        InvalidArguments: It is. The jobs would be written where no worker looks.
    """
    connection = session.connection()
    if connection.engine in _checked.setdefault(ledger, WeakSet()):
        return
    if not same_database(connection, ledger):
        bound = masked_url(connection.engine.url.render_as_string(hide_password=True))
        raise InvalidArguments(
            f"session= is bound to {bound}, and the ledger is {ledger.name}: one transaction cannot be in both. "
            "Keep the ledger in the application's database (ledger_url), or submit after the commit"
        )
    _checked[ledger].add(connection.engine)


#: Engines that were found to lead to a ledger's database.
_checked: WeakKeyDictionary[Database, WeakSet[Engine]] = WeakKeyDictionary()


def _is_within(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while transaction is not None:
        if transaction is outer:
            return True
        transaction = transaction.parent
    return False

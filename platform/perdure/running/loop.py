"""``ctx.iterate``: a loop that goes on after a crash where it was, in the same time however far that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from perdure.running.attempt import RunningAttempt
from perdure.running.checkpoint import Checkpoint

if TYPE_CHECKING:
    from perdure.stores.sources.cursor import Cursor

T = TypeVar("T")

#: What the checkpoint of a loop that has ended says.
_ENDED = "ended"


class Iteration(Generic[T]):
    """The items of a source, from the one on that was not done before.

    An item is done when the next one is asked for; what is done is saved from time to time, and at the end. After a crash
    the items since the last save come again.

    Args:
        attempt: The attempt.
        cursor: The source.
        checkpoint: What keeps the position.
        every: Items after which it is saved.
        seconds: Seconds after which it is saved; the setting ``checkpoint_interval`` when neither is given.
    """

    def __init__(
        self,
        attempt: RunningAttempt,
        cursor: Cursor[T],
        checkpoint: Checkpoint,
        every: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._attempt, self._cursor = attempt, cursor
        self._checkpoint = checkpoint
        self._every = every
        self._seconds = float("inf") if every is not None and seconds is None else seconds
        self._position: Any = None
        self._since_save = 0
        self._has_item = self._is_saved = self._has_ended = False
        self._items: Iterator[tuple[T, Any]] | None = None
        self._total: float | None = None

    def __iter__(self) -> Iteration[T]:
        return self

    def __next__(self) -> T:
        if self._items is None:
            self._items = self._open()
        elif self._has_item and not self._is_saved:
            self._done_with_item()
        item, self._position = next(self._items, (_NOTHING, self._position))
        if item is _NOTHING:
            self._end()
            raise StopIteration
        self._has_item, self._is_saved = True, False
        return item

    def save(self) -> None:
        """Save now that the current item is done.

        Inside of ``ctx.transaction()`` the position is committed with what the block wrote, so that each item has its
        effects exactly once::

            for row in (loop := ctx.iterate(rows)):
                with ctx.transaction() as connection:
                    connection.execute(insert(copies).values(...))
                    loop.save()

        Raises:
            LeaseLost, HandedBack, JobCancelled: As for :meth:`Checkpoint.save`.
        """
        self._is_saved, self._since_save = True, 0
        self._checkpoint.save([self._position])
        self._tell()

    def _open(self) -> Iterator[tuple[T, Any]]:
        saved = self._checkpoint.load()
        if saved == _ENDED:
            self._has_ended = True
            return iter(())
        self._total = self._cursor.total()
        self._position = None if saved is None else saved[0]
        return self._cursor.open(self._position)

    def _done_with_item(self) -> None:
        self._since_save += 1
        if self._since_save == self._every or self._checkpoint.due(self._seconds):
            self.save()
        elif self._attempt.progress_is_due():
            self._tell()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._tell()
            self._checkpoint.save(_ENDED)

    def _tell(self) -> None:
        self._attempt.progress(self._cursor.done(self._position), self._total)


_NOTHING: Any = object()

"""Resolving dead letters that are not replayed: discarding, annotating, deleting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from perdure.errors import InvalidArguments
from perdure.manage.dead_letters.filters import letter_filter
from perdure.manage.dead_letters.find import LetterFinding
from perdure.manage.dead_letters.replay_plan import fixed
from perdure.model.dead_letter import DISCARDED, OPEN, REPLAYED, Actor, DeadLetterGroup
from perdure.model.records import DeadLetterRecord

#: Letters that one transaction discards or deletes: a fraction of a second, so that nobody waits long for it.
BATCH = 200


class LetterResolving(LetterFinding):
    """What ``app.dead_letters`` can do with letters that are not replayed."""

    def discard(self, letter_id: str, reason: str, by: str = "python", *, source: str | None = None) -> DeadLetterRecord:
        """Mark a letter as not to be replayed and return it.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        self._ledger.letters.discard([letter_id], reason, Actor.of(by, source))
        return self.get(letter_id)

    def reopen(self, letter_id: str, by: str = "python", *, source: str | None = None) -> DeadLetterRecord:
        """Take a discard back and return the letter, which is again what it was; one that is not discarded stays as it is.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        self._ledger.letters.reopen([letter_id], Actor.of(by, source))
        return self.get(letter_id)

    def reopen_many(
        self,
        /,
        by: str = "python",
        *,
        source: str | None = None,
        on_batch: Callable[[int], object] = lambda _count: None,
        **filters: Any,
    ) -> int:
        """Take back the discard of all letters that match filters, in batches, and return how many.

        Args:
            by: Who takes it back.
            source: From where.
            on_batch: Called after each batch with the number of letters in it.
            filters: Those of :meth:`list`; ``status`` is ``discarded`` in any case.

        Raises:
            InvalidArguments: A filter is not allowed.
        """
        letters, actor = self._ledger.letters, Actor.of(by, source)
        which = fixed(letter_filter(**{**filters, "status": DISCARDED}), letters.newest_id())
        total, after = 0, None
        while page := letters.page(which, limit=BATCH, after=after, oldest_first=True):
            after = page[-1].id
            changed = len(letters.reopen([letter.id for letter in page], actor))
            total += changed
            on_batch(changed)
        return total

    def undo_discard(self, first: str, last: str, by: str = "python", *, source: str | None = None) -> int:
        """Take back what somebody discarded between two moments, and return how many letters that were.

        Args:
            first: An id (:func:`perdure.model.ids.new_id`) that was made in the same process before they were discarded.
            last: One that was made after.
            by: Who discarded them, and takes it back.
            source: From where.
        """
        letters, actor = self._ledger.letters, Actor.of(by, source)
        count, after = 0, first
        while page := letters.discarded_between(by, after, last, BATCH):
            count += len(letters.reopen(list(page.values()), actor))
            after = max(page)
        return count

    def note(self, letter_id: str, text: str | None, by: str = "python", *, source: str | None = None) -> DeadLetterRecord:
        """Write a note on a letter and return the letter.

        Args:
            letter_id: The dead letter.
            text: The note, in place of the one it had; None removes it.
            by: Who writes it.
            source: From where.

        Raises:
            DeadLetterNotFound: The ledger has none of that id.
        """
        return self._ledger.letters.annotate(letter_id, text, Actor.of(by, source))

    def note_group(
        self, fingerprint: str, text: str | None, by: str = "python", *, source: str | None = None
    ) -> DeadLetterGroup | None:
        """Write a note on a fault and return its group.

        Args:
            fingerprint: The fault.
            text: The note, such as "known, fixed in 1.4", in place of the one it had; None removes it.
            by: Who writes it.
            source: From where.

        Raises:
            DeadLetterNotFound: There are no letters of that fault.
        """
        letters = self._ledger.letters
        letters.annotate_group(fingerprint, text, Actor.of(by, source))
        return next(iter(letters.groups(fingerprints=[fingerprint])), None)

    def discard_many(
        self,
        reason: str,
        /,
        by: str = "python",
        *,
        source: str | None = None,
        on_batch: Callable[[int], object] = lambda _count: None,
        **filters: Any,
    ) -> int:
        """Mark all open letters that match filters as not to be replayed, in batches, and return how many.

        Args:
            reason: Why.
            by: Who discards them.
            source: From where.
            on_batch: Called after each batch with the number of letters in it.
            filters: Those of :meth:`list`; with another ``status=`` letters in that one.

        Raises:
            InvalidArguments: A filter is not allowed.
        """
        letters, actor = self._ledger.letters, Actor.of(by, source)
        which = fixed(letter_filter(**{"status": OPEN, **filters}), letters.newest_id())
        total, after = 0, None
        while page := letters.page(which, limit=BATCH, after=after, oldest_first=True):
            after = page[-1].id
            changed = len(letters.discard([letter.id for letter in page], reason, actor))
            total += changed
            on_batch(changed)
        return total

    def purge(
        self,
        *,
        by: str = "python",
        source: str | None = None,
        everything: bool = False,
        on_batch: Callable[[int], object] = lambda _count: None,
        **filters: Any,
    ) -> int:
        """Delete letters for good, in batches, and return how many. The audit trail stays.

        Args:
            by: Who deletes them.
            source: From where.
            everything: Needed when no filter is given, so that nobody empties the ledger by a slip.
            on_batch: Called after each batch with the number of letters in it.
            filters: Those of :meth:`list`; ``status="open"`` must be named: without a status, open letters stay.

        Raises:
            InvalidArguments: No filter was given, or one is not allowed; nothing was deleted.
        """
        which = letter_filter(**filters)
        if not which.given() and not everything:
            raise InvalidArguments("purge() without a filter deletes every letter that was dealt with. Say everything=True")
        letters, actor = self._ledger.letters, Actor.of(by, source)
        bounded, total = fixed(which, letters.newest_id()), 0
        for status in [which.status] if which.status else [REPLAYED, DISCARDED]:
            while count := letters.purge(replace(bounded, status=status), BATCH):
                total += count
                on_batch(count)
        letters.record(actor, "purge", [{"count": total, "which": which.given()}])
        return total

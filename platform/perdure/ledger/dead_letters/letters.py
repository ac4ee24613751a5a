"""``ledger.letters``: what is done with dead letters once they are written, as one method each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perdure.ledger.dead_letters import audit, behind_breaker, groups, notices, read, reopen, replay, writing
from perdure.ledger.dead_letters.replay import Replay, Replayed
from perdure.ledger.work import Result, Work
from perdure.model.dead_letter import Actor, AuditEntry, DeadLetterGroup, LetterFilter, LineageEntry
from perdure.model.dead_letter_notices import DeadLetterNotice
from perdure.model.records import DeadLetterRecord
from perdure.system.later import later

if TYPE_CHECKING:
    from perdure.ledger.dead_letters import find, prune, purge, transfer
    from perdure.ledger.direct import Where
    from perdure.ledger.jobs import lineage
    from perdure.ledger.running import checkpoints
    from perdure.model.exported_letter import Exported
else:
    find, prune, purge, transfer = later("perdure.ledger.dead_letters", "find", "prune", "purge", "transfer")
    (lineage,) = later("perdure.ledger.jobs", "lineage")
    (checkpoints,) = later("perdure.ledger.running", "checkpoints")


class Letters:
    """The dead letters of a ledger.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def get(self, letter_id: str) -> DeadLetterRecord:
        """Return a dead letter; raises ``DeadLetterNotFound``."""
        return self._work.vault.letter(self._work.direct(lambda c: read.get(c, letter_id)))

    def quarantine(self, letter: dict[str, Any]) -> bool:
        """Write a dead letter for a broker message that names no job; see :func:`writing.quarantine`."""
        return self._transact(lambda c: writing.quarantine(c, letter))

    def page(
        self, which: LetterFilter, *, limit: int = 100, after: str | None = None, oldest_first: bool = False
    ) -> list[DeadLetterRecord]:
        """Return a page of letters; see :func:`find.listing`."""
        if oldest_first and behind_breaker.are_meant(which):
            found = self._work.direct(lambda c: behind_breaker.page(c, which, limit, after))
        else:
            found = self._work.read(lambda c: find.listing(c, which, limit=limit, after=after, oldest_first=oldest_first))
        return [self._work.vault.letter(letter) for letter in found]

    def count(self, which: LetterFilter) -> int:
        """Return how many letters there are."""
        if behind_breaker.are_meant(which):
            return self._work.direct(lambda c: behind_breaker.count(c, which))
        return self._work.read(lambda c: find.count(c, which))

    def count_replayed(self, batch: str) -> int:
        """Return how many letters a bulk replay has replayed."""
        return self._work.direct(lambda c: read.count_replayed(c, batch))

    def outcomes(self, batch: str) -> dict[str, int]:
        """Return how the newest replays of a bulk replay fare: states and counts."""
        return self._work.direct(lambda c: read.outcomes(c, batch))

    def newest_id(self) -> str | None:
        """Return the id of the newest letter."""
        return self._work.direct(read.newest_id)

    def groups(self, **how: Any) -> list[DeadLetterGroup]:
        """Return groups; see :func:`groups.listing`."""
        return self._work.direct(lambda c: groups.listing(c, **how))

    def annotate_group(self, fingerprint: str, note: str | None, actor: Actor) -> None:
        """Set or remove a group's note."""

        def work(connection: Where) -> None:
            groups.annotate(connection, fingerprint, note, actor)
            if note is not None:
                writing.resolve(connection, fingerprint, self._work.release, noted=True)
            audit.record(connection, actor, "group_note", [{"fingerprint": fingerprint, "note": note or ""}])

        self._transact(work)

    def replay(
        self, items: Sequence[Replay], actor: Actor, *, batch: str | None = None, force: bool = False
    ) -> list[Replayed]:
        """Write new jobs in place of letters; see :func:`replay.replay`."""
        release = self._work.release
        return self._transact(lambda c: replay.replay(c, items, actor, batch=batch, force=force, release=release))

    def discard(self, letter_ids: Sequence[str], reason: str, actor: Actor) -> list[str]:
        """Mark letters as not to be replayed; see :func:`replay.discard`."""
        return self._transact(lambda c: replay.discard(c, letter_ids, reason, actor, self._work.release))

    def reopen(self, letter_ids: Sequence[str], actor: Actor) -> list[str]:
        """Take discards back; see :func:`reopen.reopen`."""
        return self._transact(lambda c: reopen.reopen(c, letter_ids, actor))

    def discarded_between(self, who: str, first: str, last: str, limit: int) -> dict[str, str]:
        """Return what somebody discarded in one go; see :func:`reopen.discarded_between`."""
        return self._work.direct(lambda c: reopen.discarded_between(c, who, first, last, limit))

    def annotate(self, letter_id: str, note: str | None, actor: Actor) -> DeadLetterRecord:
        """Set or remove a letter's note."""
        return self._work.vault.letter(self._transact(lambda c: replay.annotate(c, letter_id, note, actor)))

    def record(self, actor: Actor, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write entries of the audit trail for what changed nothing in the ledger."""
        self._transact(lambda c: audit.record(c, actor, action, entries))

    def audit(self, **how: Any) -> list[AuditEntry]:
        """Return entries of the audit trail; see :func:`audit.listing`."""
        return self._work.direct(lambda c: audit.listing(c, **how))

    def line(self, job_id: str) -> list[LineageEntry]:
        """Return the jobs of a line of replays; see :func:`lineage.line_of`."""
        return self._work.direct(lambda c: lineage.line_of(c, job_id))

    def checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        """Return the checkpoints that a job had reached: name, number, bytes and moment of each."""
        return self._work.direct(lambda c: checkpoints.reached(c, job_id))

    def purge(self, which: LetterFilter, page: int) -> int:
        """Delete a page of letters; see :func:`purge.purge`."""
        return self._work.run(lambda c: purge.purge(c, which, page))

    def prune(self, retention: float, page: int) -> int:
        """Delete a page of letters that were dealt with long ago."""
        return self._work.direct(lambda c: prune.resolved(c, retention, page), autocommit=False)

    def prune_leftovers(self, retention: float, page: int) -> int:
        """Delete a page of what remains of letters; see :func:`prune.leftovers`."""
        return self._work.direct(lambda c: prune.leftovers(c, retention, page))

    def read(self, which: LetterFilter, *, limit: int, after: str | None) -> list[Exported]:
        """Return a page of letters with what belongs to them; see :func:`transfer.read`."""
        return self._work.read(lambda c: transfer.read(c, which, limit=limit, after=after))

    def write(self, lines: Sequence[Exported], actor: Actor) -> int:
        """Write letters of another ledger; see :func:`transfer.write`."""
        return self._work.run(lambda c: transfer.write(c, lines, actor))

    def newest_replayable(self, task: str, breaker: str, generations: int) -> str | None:
        """Return the newest letter that died of a breaker and waits; see :func:`behind_breaker.newest_replayable`."""
        return self._work.direct(lambda c: behind_breaker.newest_replayable(c, task, breaker, generations))

    def replay_at_work(self, tag: str, task: str) -> bool:
        """Return whether a task's replay has not ended yet; see :func:`behind_breaker.replay_at_work`."""
        return self._work.direct(lambda c: behind_breaker.replay_at_work(c, tag, task))

    def take_notices(self, page: int) -> list[DeadLetterNotice]:
        """Return what there is to tell of faults; see :func:`notices.take`."""
        return self._transact(lambda c: notices.take(c, page))

    def _transact(self, work: Callable[[Where], Result]) -> Result:
        return self._work.direct(work, autocommit=False, create=True)

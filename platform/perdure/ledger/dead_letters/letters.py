"""``ledger.letters``: what is done with dead letters once they are written, as one method each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from perdure.ledger.dead_letters import audit, find, groups, notices, purge, replay, transfer, writing
from perdure.ledger.dead_letters.replay import Replay, Replayed
from perdure.ledger.jobs import lineage
from perdure.ledger.running import checkpoints
from perdure.ledger.work import Work
from perdure.model.dead_letter import Actor, AuditEntry, DeadLetterGroup, LetterFilter, LineageEntry
from perdure.model.dead_letter_notices import DeadLetterNotice
from perdure.model.records import DeadLetterRecord


class Letters:
    """The dead letters of a ledger.

    Args:
        work: Runs statements on the ledger's database.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def get(self, letter_id: str) -> DeadLetterRecord:
        """Return a dead letter; raises ``DeadLetterNotFound``."""
        return self._work.vault.letter(self._work.read(lambda c: find.get(c, letter_id)))

    def quarantine(self, letter: dict[str, Any]) -> bool:
        """Write a dead letter for a broker message that names no job; see :func:`writing.quarantine`."""
        return self._work.run(lambda c: writing.quarantine(c, letter))

    def page(
        self, which: LetterFilter, *, limit: int = 100, after: str | None = None, oldest_first: bool = False
    ) -> list[DeadLetterRecord]:
        """Return a page of letters; see :func:`find.listing`."""
        found = self._work.read(lambda c: find.listing(c, which, limit=limit, after=after, oldest_first=oldest_first))
        return [self._work.vault.letter(letter) for letter in found]

    def count(self, which: LetterFilter) -> int:
        """Return how many letters there are."""
        return self._work.read(lambda c: find.count(c, which))

    def outcomes(self, batch: str) -> dict[str, int]:
        """Return how the newest replays of a bulk replay fare: states and counts."""
        return self._work.read(lambda c: find.outcomes(c, batch))

    def newest_id(self) -> str | None:
        """Return the id of the newest letter."""
        return self._work.read(find.newest_id)

    def groups(self, **how: Any) -> list[DeadLetterGroup]:
        """Return groups; see :func:`groups.listing`."""
        return self._work.read(lambda c: groups.listing(c, **how))

    def annotate_group(self, fingerprint: str, note: str | None, actor: Actor) -> None:
        """Set or remove a group's note."""

        def work(connection: Connection) -> None:
            groups.annotate(connection, fingerprint, note, actor)
            if note is not None:
                writing.resolve(connection, fingerprint, self._work.release, noted=True)
            audit.record(connection, actor, "group_note", [{"fingerprint": fingerprint, "note": note or ""}])

        self._work.run(work)

    def replay(
        self, items: Sequence[Replay], actor: Actor, *, batch: str | None = None, force: bool = False
    ) -> list[Replayed]:
        """Write new jobs in place of letters; see :func:`replay.replay`."""
        release = self._work.release
        return self._work.run(lambda c: replay.replay(c, items, actor, batch=batch, force=force, release=release))

    def discard(self, letter_ids: Sequence[str], reason: str, actor: Actor) -> list[str]:
        """Mark letters as not to be replayed; see :func:`replay.discard`."""
        return self._work.run(lambda c: replay.discard(c, letter_ids, reason, actor, self._work.release))

    def annotate(self, letter_id: str, note: str | None, actor: Actor) -> DeadLetterRecord:
        """Set or remove a letter's note."""
        return self._work.vault.letter(self._work.run(lambda c: replay.annotate(c, letter_id, note, actor)))

    def record(self, actor: Actor, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write entries of the audit trail for what changed nothing in the ledger."""
        self._work.run(lambda c: audit.record(c, actor, action, entries))

    def audit(self, **how: Any) -> list[AuditEntry]:
        """Return entries of the audit trail; see :func:`audit.listing`."""
        return self._work.read(lambda c: audit.listing(c, **how))

    def line(self, job_id: str) -> list[LineageEntry]:
        """Return the jobs of a line of replays; see :func:`lineage.line_of`."""
        return self._work.read(lambda c: lineage.line_of(c, job_id))

    def checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        """Return the checkpoints that a job had reached: name, number, bytes and moment of each."""
        return self._work.read(lambda c: checkpoints.reached(c, job_id))

    def purge(self, which: LetterFilter, page: int) -> int:
        """Delete a page of letters; see :func:`purge.purge`."""
        return self._work.run(lambda c: purge.purge(c, which, page))

    def prune(self, retention: float, page: int) -> int:
        """Delete a page of letters that were dealt with long ago."""
        return self._work.run(lambda c: purge.resolved(c, retention, page))

    def prune_leftovers(self, retention: float, page: int) -> int:
        """Delete a page of what remains of letters; see :func:`purge.leftovers`."""
        return self._work.run(lambda c: purge.leftovers(c, retention, page))

    def read(self, which: LetterFilter, *, limit: int, after: str | None) -> list[transfer.Exported]:
        """Return a page of letters with what belongs to them; see :func:`transfer.read`."""
        return self._work.read(lambda c: transfer.read(c, which, limit=limit, after=after))

    def write(self, lines: Sequence[transfer.Exported], actor: Actor) -> int:
        """Write letters of another ledger; see :func:`transfer.write`."""
        return self._work.run(lambda c: transfer.write(c, lines, actor))

    def newest_replayable(self, task: str, breaker: str, generations: int) -> str | None:
        """Return the newest letter that died of a breaker and waits; see :func:`find.newest_replayable`."""
        return self._work.read(lambda c: find.newest_replayable(c, task, breaker, generations))

    def take_notices(self, page: int) -> list[DeadLetterNotice]:
        """Return what there is to tell of faults; see :func:`notices.take`."""
        return self._work.run(lambda c: notices.take(c, page))

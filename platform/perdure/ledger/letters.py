"""``ledger.letters``: what is done with dead letters once they are written, as one method each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from perdure.ledger import (
    checkpoints,
    dead_letters,
    letter_audit,
    letter_groups,
    letter_notice,
    letter_purge,
    letter_replay,
    letter_transfer,
    lineage,
)
from perdure.ledger.letter_records import Actor, AuditEntry, DeadLetterGroup, LetterFilter, LineageEntry
from perdure.ledger.letter_replay import Replay, Replayed
from perdure.ledger.records import DeadLetterRecord
from perdure.letters.notices import DeadLetterNotice
from perdure.vault import Vault

T = TypeVar("T")


class Runner(Protocol):
    """Runs work on a connection."""

    def __call__(self, work: Callable[[Connection], T], /) -> T:
        """Return what the work returns."""


class Letters:
    """The dead letters of a ledger.

    Args:
        run: Runs work in a transaction.
        read: Runs reads, and writes of a single statement.
        vault: What opens sealed and offloaded columns.
    """

    def __init__(self, run: Runner, read: Runner, vault: Vault) -> None:
        self._vault = vault
        self._run = run
        self._read = read

    def page(
        self, which: LetterFilter, *, limit: int = 100, after: str | None = None, oldest_first: bool = False
    ) -> list[DeadLetterRecord]:
        """Return a page of letters; see :func:`dead_letters.listing`."""
        found = self._read(lambda c: dead_letters.listing(c, which, limit=limit, after=after, oldest_first=oldest_first))
        return [self._vault.letter(letter) for letter in found]

    def count(self, which: LetterFilter) -> int:
        """Return how many letters there are."""
        return self._read(lambda c: dead_letters.count(c, which))

    def outcomes(self, batch: str) -> dict[str, int]:
        """Return how the newest replays of a bulk replay fare: states and counts."""
        return self._read(lambda c: dead_letters.outcomes(c, batch))

    def newest_id(self) -> str | None:
        """Return the id of the newest letter."""
        return self._read(dead_letters.newest_id)

    def groups(self, **how: Any) -> list[DeadLetterGroup]:
        """Return groups; see :func:`letter_groups.listing`."""
        return self._read(lambda c: letter_groups.listing(c, **how))

    def annotate_group(self, fingerprint: str, note: str | None, actor: Actor) -> None:
        """Set or remove a group's note."""

        def work(connection: Connection) -> None:
            letter_groups.annotate(connection, fingerprint, note, actor)
            letter_audit.record(connection, actor, "group_note", [{"fingerprint": fingerprint, "note": note or ""}])

        self._run(work)

    def replay(
        self, items: Sequence[Replay], actor: Actor, *, batch: str | None = None, force: bool = False
    ) -> list[Replayed]:
        """Write new jobs in place of letters; see :func:`letter_replay.replay`."""
        return self._run(lambda c: letter_replay.replay(c, items, actor, batch=batch, force=force))

    def discard(self, letter_ids: Sequence[str], reason: str, actor: Actor) -> list[str]:
        """Mark letters as not to be replayed; see :func:`letter_replay.discard`."""
        return self._run(lambda c: letter_replay.discard(c, letter_ids, reason, actor))

    def annotate(self, letter_id: str, note: str | None, actor: Actor) -> DeadLetterRecord:
        """Set or remove a letter's note."""
        return self._vault.letter(self._run(lambda c: letter_replay.annotate(c, letter_id, note, actor)))

    def record(self, actor: Actor, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write entries of the audit trail for what changed nothing in the ledger."""
        self._run(lambda c: letter_audit.record(c, actor, action, entries))

    def audit(self, **how: Any) -> list[AuditEntry]:
        """Return entries of the audit trail; see :func:`letter_audit.listing`."""
        return self._read(lambda c: letter_audit.listing(c, **how))

    def line(self, job_id: str) -> list[LineageEntry]:
        """Return the jobs of a line of replays; see :func:`lineage.line_of`."""
        return self._read(lambda c: lineage.line_of(c, job_id))

    def checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        """Return the checkpoints that a job had reached: name, number, bytes and moment of each."""
        return self._read(lambda c: checkpoints.reached(c, job_id))

    def purge(self, which: LetterFilter, page: int) -> int:
        """Delete a page of letters; see :func:`letter_purge.purge`."""
        return self._run(lambda c: letter_purge.purge(c, which, page))

    def prune(self, retention: float, page: int) -> int:
        """Delete a page of letters that were dealt with long ago."""
        return self._run(lambda c: letter_purge.resolved(c, retention, page))

    def prune_leftovers(self, retention: float, page: int) -> int:
        """Delete a page of what remains of letters; see :func:`letter_purge.leftovers`."""
        return self._run(lambda c: letter_purge.leftovers(c, retention, page))

    def read(self, which: LetterFilter, *, limit: int, after: str | None) -> list[letter_transfer.Exported]:
        """Return a page of letters with what belongs to them; see :func:`letter_transfer.read`."""
        return self._read(lambda c: letter_transfer.read(c, which, limit=limit, after=after))

    def write(self, lines: Sequence[letter_transfer.Exported], actor: Actor) -> int:
        """Write letters of another ledger; see :func:`letter_transfer.write`."""
        return self._run(lambda c: letter_transfer.write(c, lines, actor))

    def newest_replayable(self, task: str, breaker: str, generations: int) -> str | None:
        """Return the newest letter that died of a breaker and waits; see :func:`dead_letters.newest_replayable`."""
        return self._read(lambda c: dead_letters.newest_replayable(c, task, breaker, generations))

    def take_notices(self, page: int) -> list[DeadLetterNotice]:
        """Return what there is to tell of faults; see :func:`letter_notice.take`."""
        return self._run(lambda c: letter_notice.take(c, page))

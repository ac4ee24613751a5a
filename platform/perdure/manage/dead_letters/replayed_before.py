"""What becomes of a replay that is asked for once more: the same call gets the job of then, another one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from perdure.errors import JobNotFound, ReplayRefused
from perdure.ledger.dead_letters.replay import Replay

if TYPE_CHECKING:
    from perdure.ledger import Ledger


def refuse_if_other(ledger: Ledger, asked: Replay, job_id: str) -> None:
    """Refuse to take the job of an earlier replay for one that was asked for with a call of its own.

    Args:
        ledger: Where the job is.
        asked: What would have been written.
        job_id: The job of the earlier replay.

    Raises:
        ReplayRefused: It was called otherwise, or is on another bulkhead.
    """
    if not _is_same(ledger, asked, job_id):
        raise ReplayRefused(
            f"dead letter {asked.letter_id} was replayed already, as job {job_id}, and with another call than this one. "
            "To run it once more, as you say now, use force (on the command line: --force)"
        )


def _is_same(ledger: Ledger, asked: Replay, job_id: str) -> bool:
    new = asked.new
    try:
        before = ledger.jobs.get(job_id)
    except JobNotFound:  # it was pruned: nobody can say any more how it was called
        return False
    args, kwargs = (ledger.vault.get(getattr(new, column), column, new.id, new.task) for column in ("args", "kwargs"))
    called = (before.bulkhead, before.args, before.kwargs)
    return called == (new.bulkhead, msgspec.json.decode(args), msgspec.json.decode(kwargs))

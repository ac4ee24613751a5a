"""Checkpoints: what a long job saves so that after a crash it goes on and does not start again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure import codec

if TYPE_CHECKING:
    from perdure.context import JobContext

MAIN = "main"


class Checkpoint:
    """One named checkpoint of a running job.

    Args:
        context: The job's context.
        name: Which of the job's checkpoints.
    """

    def __init__(self, context: JobContext, name: str = MAIN) -> None:
        self._context = context
        self._name = name
        self._seq = 0

    def load(self, default: Any = None) -> Any:
        """Return the state that was saved last, or ``default`` when there is none."""
        versions = self._context.ledger.load_checkpoint(self._context.job_id, self._name)
        if not versions:
            return default
        self._seq = versions[0].seq
        return codec.decode(versions[0].data)

    def save(self, state: Any) -> int:
        """Save a state and return its sequence number.

        Args:
            state: Anything that JSON can carry.

        Raises:
            Unserialisable: The state has no faithful JSON form.
            LeaseLost: Another worker has the job now; nothing was written.
            HandedBack: The worker drains; the state is saved and the job goes on elsewhere.
            JobCancelled: The job was cancelled; the state is saved.
        """
        data = codec.encode(state, what=f"checkpoint {self._name!r}").encode()
        context = self._context
        self._seq, standing = context.ledger.save_checkpoint(context.job_id, context.fence, self._name, data, self._seq)
        context.obey(standing)
        return self._seq

    def clear(self) -> None:
        """Forget what was saved.

        Raises:
            LeaseLost: Another worker has the job now; nothing was deleted.
        """
        self._context.ledger.clear_checkpoint(self._context.job_id, self._context.fence, self._name)
        self._seq = 0

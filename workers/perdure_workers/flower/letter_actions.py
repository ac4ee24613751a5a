"""What can be done to dead letters: one, those that were ticked, or all that a filter means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments
from perdure.manage.dead_letters.filters import NAMES
from perdure.model.dead_letter import DISCARDED, OPEN
from perdure.model.ids import new_id
from perdure.model.masking import MASK
from perdure_workers.flower.ask import SOURCE, Ask, Done, to_each, within
from perdure_workers.shared.counted import many

if TYPE_CHECKING:
    from perdure import JobHandle
    from perdure.manage.dead_letters.replay_plan import ReplayPlan

#: How a bulk replay is done.
BULK = ("rate", "canary", "max_failure_rate")
#: Canaries of a bulk replay at most.
MOST_CANARIES = 100_000


def replay(ask: Ask) -> Done:
    """Replay a letter, maybe with other arguments."""
    letter = ask.app.dead_letters.find(ask.of)
    args, kwargs = ask.value("args"), ask.value("kwargs")
    if args is not None and not isinstance(args, list):
        raise InvalidArguments("args must be a JSON array")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise InvalidArguments("kwargs must be a JSON object")
    job = ask.app.dead_letters.replay(
        letter.id,
        None if args is None else unmasked(args, letter.args),
        None if kwargs is None else unmasked(kwargs, letter.kwargs),
        bulkhead=ask.text("bulkhead") or None,
        from_checkpoint=ask.flag("from_checkpoint"),
        force=ask.flag("force"),
        by=ask.by,
        source=SOURCE,
    )
    said = "The letter had been replayed before; this is its job." if job.deduplicated else "Replayed as this job."
    return Done(said, "perdure_job", (job.id,), job.id)


def discard(ask: Ask) -> Done:
    """Discard a letter."""
    letter = ask.app.dead_letters.find(ask.of)
    first = new_id()
    ask.app.dead_letters.discard(letter.id, ask.text("reason") or "discarded in Flower", ask.by, source=SOURCE)
    return Done("The letter is discarded.", undo=(first, new_id()))


def reopen(ask: Ask) -> Done:
    """Take the discard of a letter back."""
    letter = ask.app.dead_letters.reopen(ask.app.dead_letters.find(ask.of).id, ask.by, source=SOURCE)
    return Done(f"The letter is {letter.status}.")


def note(ask: Ask) -> Done:
    """Write a note on a letter."""
    ask.app.dead_letters.note(ask.app.dead_letters.find(ask.of).id, ask.text("text") or None, ask.by, source=SOURCE)
    return Done("The note is saved.")


def replay_many(ask: Ask) -> Done:
    """Replay all letters that a filter means, or say what that would do."""
    letters, how = ask.app.dead_letters, {**ask.filters(NAMES, *BULK, "dry_run", "because"), **bulk_replay(ask.form)}
    if ask.flag("dry_run"):
        plan: ReplayPlan = letters.replay_many(dry_run=True, **how)
        return Done(_said(plan))
    job: JobHandle[Any] = letters.replay_many(by=ask.by, source=SOURCE, **how)
    return Done("This job replays them, and shows how far it is.", "perdure_job", (job.id,), job.id)


def replay_selected(ask: Ask) -> Done:
    """Replay the letters that were ticked."""

    def replay(letter_id: str) -> bool:
        return not ask.app.dead_letters.replay(letter_id, by=ask.by, source=SOURCE).deduplicated

    return to_each(ask, replay, "replayed")


def discard_selected(ask: Ask) -> Done:
    """Discard the letters that were ticked."""
    letters, first = ask.app.dead_letters, new_id()
    because = ask.text("because") or "discarded in Flower"

    def discard(letter_id: str) -> bool:
        return letters.get(letter_id).status != DISCARDED and bool(
            letters.discard(letter_id, because, ask.by, source=SOURCE)
        )

    return dataclasses.replace(to_each(ask, discard, "discarded"), undo=(first, new_id()))


def undo_discard(ask: Ask) -> Done:
    """Take back what this user has discarded in one go."""
    count = ask.app.dead_letters.undo_discard(ask.text("first"), ask.text("last"), ask.by, source=SOURCE)
    return Done(f"{many(count, 'letter')} put back to what was before the discard.", good=count > 0)


def _said(plan: ReplayPlan) -> str:
    parts = [f"{many(plan.count, 'letter')} would be replayed, in about {plan.estimated_seconds:g} s."]
    if plan.does_not_fit:
        parts.append(f"{plan.does_not_fit} do not fit what the application has now and would stay.")
    if plan.breaker_open:
        parts.append(f"{plan.breaker_open} have an open circuit breaker and would stay.")
    return " ".join(parts)


def discard_many(ask: Ask) -> Done:
    """Discard all letters that a filter means."""
    because = ask.text("because") or "discarded in Flower"  # "reason" is what letters are found by
    first = new_id()
    which: dict[str, Any] = {"status": OPEN, **ask.filters(NAMES, *BULK, "because")}
    count = ask.app.dead_letters.discard_many(because, ask.by, source=SOURCE, **which)
    return Done(f"{many(count, 'letter')} discarded.", undo=(first, new_id()))


def note_group(ask: Ask) -> Done:
    """Write a note on a fault."""
    ask.app.dead_letters.note_group(ask.text("fingerprint"), ask.text("text") or None, ask.by, source=SOURCE)
    return Done("The note on this fault is saved.")


def bulk_replay(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many letters are to be replayed at what rate, as ``replay_many`` takes it.

    Raises:
        InvalidArguments: A number is none, or outside of what is allowed.
    """
    rate, canary, failures = (str(said.get(name) or "").strip() for name in BULK)
    return {
        "rate": rate or None,
        "canary": int(within("canary", canary, MOST_CANARIES)) if canary else 0,
        "max_failure_rate": within("max_failure_rate", failures, 1.0) if failures else None,
    }


def unmasked(edited: Any, original: Any) -> Any:
    """Return edited arguments in which what was shown masked is the original again.

    Args:
        edited: What somebody made of the masked arguments.
        original: The arguments.
    """
    if edited == MASK:
        return original
    if isinstance(edited, dict) and isinstance(original, dict):
        return {name: unmasked(value, original.get(name, value)) for name, value in edited.items()}
    if isinstance(edited, list) and isinstance(original, list):
        rest = edited[len(original) :]
        return [*(unmasked(new, old) for new, old in zip(edited, original, strict=False)), *rest]
    return edited

"""Everything that Flower's users can change, as one table: forms and the JSON API both go through it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments
from perdure.ledger.letter_records import OPEN
from perdure.masking import MASK

if TYPE_CHECKING:
    from perdure import JobHandle, Perdure
    from perdure.letters.replay_plan import ReplayPlan

#: Where what is done here is said to come from, in audit trails.
SOURCE = "flower"
#: What many letters are found by, in forms and in the JSON API.
FILTERS = ("task", "error", "fingerprint", "status", "text", "reason", "tag")


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody wants something done.

    Attributes:
        app: The application.
        kind: What it is done to: ``job``, ``letter``, ``letters``, ``breaker`` or ``bulkhead``.
        action: What is done.
        of: To which one.
        form: What else was said: texts of a form, or values of a JSON body.
        by: Who asks.
    """

    app: Perdure
    kind: str
    action: str
    of: str
    form: Mapping[str, Any]
    by: str

    def text(self, name: str) -> str:
        """Return a text of the form, without spaces around it."""
        return str(self.form.get(name) or "").strip()

    def flag(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return str(self.form.get(name, "")).lower() in ("1", "true", "on", "yes")

    def number(self, name: str) -> float | None:
        """Return a number of the form; None when it is empty."""
        text = self.text(name)
        return finite(name, text) if text else None

    def value(self, name: str) -> Any:
        """Return a JSON value: as it is from the API, decoded from a form; None when it is empty."""
        given = self.form.get(name)
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given) if given.strip() else None
        except ValueError as error:
            raise InvalidArguments(f"{name} is not JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: in words, the page that shows it (None: the one it was asked on), and the job that it made."""

    message: str
    page: str | None = None
    of: tuple[str, ...] = ()
    job_id: str | None = None


def run_action(ask: Ask) -> Done:
    """Do what is asked; runs in a thread.

    Raises:
        InvalidArguments: There is no such action, or what was said does not fit it.
        PerdureError: It cannot be done; the error says why.
    """
    action = ACTIONS.get((ask.kind, ask.action))
    if action is None:
        known = ", ".join(sorted(name for kind, name in ACTIONS if kind == ask.kind))
        raise InvalidArguments(f"{ask.action!r} is nothing that can be done to a {ask.kind}. Known: {known}")
    return action(ask)


def _cancel(ask: Ask) -> Done:
    cancelled = ask.app.jobs.cancel(ask.of, ask.text("reason") or f"cancelled in Flower by {ask.by}")
    return Done("The job is cancelled." if cancelled else "The job had ended before.")


def _run_now(ask: Ask) -> Done:
    moved = ask.app.jobs.run_now(ask.of)
    return Done("The job runs as soon as a worker is free." if moved else "The job does not wait for a time.")


def _replay(ask: Ask) -> Done:
    letter = ask.app.dead_letters.get(ask.of)
    args, kwargs = ask.value("args"), ask.value("kwargs")
    if args is not None and not isinstance(args, list):
        raise InvalidArguments("args must be a JSON array")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise InvalidArguments("kwargs must be a JSON object")
    job = ask.app.dead_letters.replay(
        ask.of,
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


def _discard(ask: Ask) -> Done:
    ask.app.dead_letters.discard(ask.of, ask.text("reason") or "discarded in Flower", ask.by, source=SOURCE)
    return Done("The letter is discarded.")


def _note(ask: Ask) -> Done:
    ask.app.dead_letters.note(ask.of, ask.text("text") or None, ask.by, source=SOURCE)
    return Done("The note is saved.")


def _which(ask: Ask) -> dict[str, Any]:
    return {name: text for name in FILTERS if (text := ask.text(name))}


def _replay_many(ask: Ask) -> Done:
    letters, how = ask.app.dead_letters, _which(ask)
    how["rate"] = ask.text("rate") or None
    how["canary"] = int(ask.number("canary") or 0)
    how["max_failure_rate"] = ask.number("max_failure_rate")
    if ask.flag("dry_run"):
        plan: ReplayPlan = letters.replay_many(dry_run=True, **how)
        return Done(_said(plan))
    job: JobHandle[Any] = letters.replay_many(by=ask.by, source=SOURCE, **how)
    return Done("This job replays them, and shows how far it is.", "perdure_job", (job.id,), job.id)


def _said(plan: ReplayPlan) -> str:
    parts = [f"{plan.count} letters would be replayed, in about {plan.estimated_seconds:g} s."]
    if plan.does_not_fit:
        parts.append(f"{plan.does_not_fit} do not fit what the application has now and would stay.")
    if plan.breaker_open:
        parts.append(f"{plan.breaker_open} have an open circuit breaker and would stay.")
    return " ".join(parts)


def _discard_many(ask: Ask) -> Done:
    which = {"status": OPEN, **_which(ask)}
    because = ask.text("because") or "discarded in Flower"  # "reason" is what letters are found by
    count = ask.app.dead_letters.discard_many(because, ask.by, source=SOURCE, **which)
    return Done(f"{count} letters are discarded.")


def _note_group(ask: Ask) -> Done:
    ask.app.dead_letters.note_group(ask.text("fingerprint"), ask.text("text") or None, ask.by, source=SOURCE)
    return Done("The note on this fault is saved.")


def _force(ask: Ask) -> Done:
    breaker = ask.app.breakers[ask.of]
    force = breaker.force_open if ask.action == "open" else breaker.force_closed
    seconds = ask.number("seconds") or 600.0
    force(reason=ask.text("reason") or f"forced {ask.action} in Flower", by=ask.by, lasts=seconds)
    return Done(f"The breaker is forced {ask.action} for {seconds:g} s.")


def _reset(ask: Ask) -> Done:
    ask.app.breakers[ask.of].reset(reason=ask.text("reason") or "reset in Flower", by=ask.by)
    return Done("The breaker is closed and has forgotten its failures.")


def _pause(ask: Ask) -> Done:
    ask.app.bulkheads.pause(ask.of, by=ask.by, reason=ask.text("reason"))
    return Done(f"Jobs of {ask.of} wait until it is resumed; those that run go on.")


def _resume(ask: Ask) -> Done:
    ask.app.bulkheads.resume(ask.of)
    return Done(f"Jobs of {ask.of} start again.")


ACTIONS: dict[tuple[str, str], Callable[[Ask], Done]] = {
    ("job", "cancel"): _cancel,
    ("job", "run-now"): _run_now,
    ("letter", "replay"): _replay,
    ("letter", "discard"): _discard,
    ("letter", "note"): _note,
    ("letters", "replay"): _replay_many,
    ("letters", "discard"): _discard_many,
    ("letters", "note"): _note_group,
    ("breaker", "open"): _force,
    ("breaker", "closed"): _force,
    ("breaker", "reset"): _reset,
    ("bulkhead", "pause"): _pause,
    ("bulkhead", "resume"): _resume,
}


def finite(name: str, text: str) -> float:
    """Return the number that a text says.

    Raises:
        InvalidArguments: It says none, or one that is not finite.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidArguments(f"{name}={text!r} must be a number")
    return number


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

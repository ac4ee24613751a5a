"""Everything that Flower's users can change, as one table: forms and the JSON API both go through it."""

from __future__ import annotations

from collections.abc import Callable

from perdure.errors import InvalidArguments
from perdure_workers.flower import alert_actions, job_actions, letter_actions, schedule_actions
from perdure_workers.flower.ask import Ask, Done
from perdure_workers.shared.named_breakers import named_breaker

#: Seconds for which a breaker is forced at most: ten years.
LONGEST_FORCED = 10 * 365 * 86_400.0


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


def _force(ask: Ask) -> Done:
    breaker = named_breaker(ask.app, ask.of)
    force = breaker.force_open if ask.action == "open" else breaker.force_closed
    seconds = ask.number("seconds", LONGEST_FORCED) or 600.0
    force(reason=ask.text("reason") or f"forced {ask.action} in Flower", by=ask.by, lasts=seconds)
    return Done(f"The breaker is forced {ask.action} for {seconds:g} s.")


def _reset(ask: Ask) -> Done:
    named_breaker(ask.app, ask.of).reset(reason=ask.text("reason") or "reset in Flower", by=ask.by)
    return Done("The breaker is closed and has forgotten its failures.")


def _pause(ask: Ask) -> Done:
    ask.app.bulkheads.pause(ask.of, by=ask.by, reason=ask.text("reason"))
    return Done(f"Jobs of {ask.of} wait until it is resumed; those that run go on.")


def _resume(ask: Ask) -> Done:
    ask.app.bulkheads.resume(ask.of)
    return Done(f"Jobs of {ask.of} start again.")


ACTIONS: dict[tuple[str, str], Callable[[Ask], Done]] = {
    ("job", "cancel"): job_actions.cancel,
    ("job", "restore"): job_actions.restore,
    ("job", "run-now"): job_actions.run_now,
    ("job", "retry"): job_actions.retry,
    ("jobs", "cancel-selected"): job_actions.cancel_selected,
    ("jobs", "restore-selected"): job_actions.restore_selected,
    ("jobs", "retry-selected"): job_actions.retry_selected,
    ("jobs", "cancel"): job_actions.cancel_many,
    ("letter", "replay"): letter_actions.replay,
    ("letter", "reopen"): letter_actions.reopen,
    ("letter", "discard"): letter_actions.discard,
    ("letter", "note"): letter_actions.note,
    ("letters", "replay"): letter_actions.replay_many,
    ("letters", "discard"): letter_actions.discard_many,
    ("letters", "note"): letter_actions.note_group,
    ("letters", "replay-selected"): letter_actions.replay_selected,
    ("letters", "discard-selected"): letter_actions.discard_selected,
    ("letters", "undo-discard"): letter_actions.undo_discard,
    ("breaker", "open"): _force,
    ("breaker", "closed"): _force,
    ("breaker", "reset"): _reset,
    ("schedule", "trigger"): schedule_actions.trigger,
    ("schedule", "pause"): schedule_actions.pause,
    ("schedule", "resume"): schedule_actions.resume,
    ("schedule", "backfill"): schedule_actions.backfill,
    ("alert", "silence"): alert_actions.silence,
    ("alert", "unsilence"): alert_actions.unsilence,
    ("bulkhead", "pause"): _pause,
    ("bulkhead", "resume"): _resume,
}

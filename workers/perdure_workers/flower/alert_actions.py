"""What Flower's users can do about alerts."""

from __future__ import annotations

from perdure.errors import InvalidArguments
from perdure_workers.flower.ask import Ask, Done

#: Seconds of a silence, unless somebody says so, and at most: a month.
USUAL, LONGEST = 3600.0, 31 * 86_400.0


def silence(ask: Ask) -> Done:
    """Tell nobody of an alert for a while."""
    if not ask.of:
        raise InvalidArguments("say which alert is to be silenced")
    seconds = ask.number("seconds", LONGEST) or USUAL
    ask.app.alerts.silence(ask.of, lasts=seconds, by=ask.by, reason=ask.text("reason"))
    return Done(f"Nobody is told of {ask.of} for {seconds:g} s.")


def unsilence(ask: Ask) -> Done:
    """End a silence."""
    ended = ask.app.alerts.unsilence(ask.of)
    return Done("What still fires is told." if ended else "It had ended.", good=ended)

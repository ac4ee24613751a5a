"""What Flower's users can do to schedules."""

from __future__ import annotations

from perdure_workers.facts.task_facts import stretch
from perdure_workers.flower.ask import Ask, Done
from perdure_workers.shared.counted import many


def trigger(ask: Ask) -> Done:
    """Run its task once, now."""
    job = ask.app.schedules.trigger(ask.of, by=ask.by)
    return Done("It runs once now, besides its schedule, as this job.", "perdure_job", (job.id,), job.id)


def pause(ask: Ask) -> Done:
    """Let its ticks pass."""
    ask.app.schedules.pause(ask.of, by=ask.by, reason=ask.text("reason"))
    return Done(f"The ticks of {ask.of} pass until it is resumed.")


def resume(ask: Ask) -> Done:
    """Let it run again."""
    if not ask.app.schedules.resume(ask.of):
        return Done(f"{ask.of} was not paused.", good=False)
    return Done(f"{ask.of} runs again from its next tick on. What it missed is not run; backfill does that.")


def backfill(ask: Ask) -> Done:
    """Submit a job for each tick of a stretch of time that has none."""
    count = ask.app.schedules.backfill(ask.of, *stretch({name: ask.text(name) for name in ("from", "to")}))
    return Done(f"{many(count, 'job')} of {ask.of} submitted, behind all others of their bulkhead.")

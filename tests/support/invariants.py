"""What the platform promises of one job, judged from what it wrote itself and how its claims ended in the ledger."""

from __future__ import annotations

from support.cluster import Effect, overlaps


def check_outcomes(outcomes: list[str]) -> None:
    """A job that cannot fail succeeds once, and only the platform's faults precede that."""
    assert outcomes.count("succeeded") == 1
    assert set(outcomes) <= {"succeeded", "crashed", "handed_back"}


def check_fences(effects: list[Effect], outcomes: dict[int, str]) -> None:
    """Each run was a claim that the ledger knows, or one whose end was lost with its slice; one process held each fence."""
    last = max(outcomes)
    unknown = {effect.fence for effect in effects} - set(outcomes)
    assert all(fence < last for fence in unknown), "it ran under a fence that the ledger does not know"
    holders = {(effect.fence, effect.pid) for effect in effects}
    assert len(holders) == len({fence for fence, _ in holders}), "two processes held one fence"


def check_side_by_side(effects: list[Effect], outcomes: dict[int, str]) -> None:
    """Only an attempt that lost its lease (its worker was frozen) may overlap with its successor."""
    for one, other in overlaps(effects):
        assert outcomes.get(min(one.fence, other.fence), "crashed") == "crashed", "two attempts ran side by side"


def check_checkpoints(effects: list[Effect]) -> None:
    """No attempt begins below what an attempt with a smaller fence had saved before."""
    for start in (effect for effect in effects if effect.what.startswith("start:")):
        saved = [
            int(effect.what.split(":")[1])
            for effect in effects
            if effect.what.startswith("saved:") and effect.fence < start.fence
        ]
        assert int(start.what.split(":")[1]) >= max(saved, default=0), "an attempt began below a saved checkpoint"

"""Builds of the platform that are broken on purpose: each breaks one promise. Nothing but tests can make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from perdure.ledger.jobs import claim, settle
from perdure.ledger.running import checkpoints
from perdure.model.ids import new_id
from perdure.model.new_job import NewJob
from perdure.model.records import Claim, Settlement
from perdure.model.settlement import lost
from perdure.model.signature import Signature
from perdure.model.worker_health import WorkerState
from perdure.resilience.breaker import machine
from perdure.running.transaction import OpenTransaction
from perdure_workers.intake.gate import Refused
from perdure_workers.intake.quarantine import Quarantine
from perdure_workers.recovery import rescue
from perdure_workers.shared.slots import Slot
from support.simulation.parts import BULKHEAD, SETTINGS
from support.simulation.world import World

#: Breaks what is patched now, and each world that is made.
Build = Callable[[ExitStack, World], object]


def _settles_without(part: str, instead: str = "") -> Build:
    assert part in settle._SETTLE
    return _patched("perdure.ledger.jobs.settle._SETTLE", settle._SETTLE.replace(part, instead))


def _patched(target: str, new: Any) -> Build:
    return lambda patches, _: patches.enter_context(patch(target, new))


def _claims_without(part: str) -> Build:
    whole = claim._CLAIM["sqlite"]
    assert part in whole
    return _patched("perdure.ledger.jobs.claim._CLAIM", {"sqlite": whole.replace(part, "")})


def _nobody_looks(_: ExitStack, world: World) -> None:
    world.looks = False


def _nobody_rescues(patches: ExitStack, _: World) -> None:
    for module in ("recovery.rescue", "supervisor.duties.expire"):
        patches.enter_context(patch(f"perdure_workers.{module}.rescue_worker", _nothing))


def _quorum_of_one(_: ExitStack, world: World) -> None:
    world.ring.quorum = SimpleNamespace(write=1, read=1)


def _nothing(*_: Any) -> int:
    return 0


def _as_crash(of: Claim, _times: int, _most: int, why: str) -> Settlement:
    return lost(of, SETTINGS.max_crashes, why)


def _blames_last(claims: Sequence[Claim], slot: Slot | None) -> Claim | None:
    return _begun(claims, slot) if slot else max(claims, key=claim.in_line, default=None)


def _two_trials(patches: ExitStack, _: World) -> None:
    for module in ("machine", "admission"):
        patches.enter_context(patch(f"perdure.resilience.breaker.{module}.free_permits", _one_more_trial))


def _one_more_trial(*of: Any) -> int:
    return _free_permits(*of) + 1


def _oldest(held: Any) -> Any:
    return min(held, key=lambda record: record.version, default=None)


def _effects_alone(self: OpenTransaction, *how: Any) -> Any:
    self._saves.clear()
    return _write(self, *how)


def _submitted(self: Quarantine, refused: Refused) -> None:
    self._app.ledger.jobs.submit([NewJob(new_id(), refused.task, BULKHEAD, "[0, {}]", "{}", "d")])


def _blurred(self: Signature, *of: str) -> Any:
    (number, seen), named = _decode(self, *of)
    return [number, {**seen, "more": None}], named


_write, _decode = OpenTransaction.write, Signature.decode
_free_permits, _begun = machine.free_permits, rescue.begun
_LEASE_COUNTS = f"AND NOT EXISTS (SELECT 1 FROM perdure_workers o WHERE o.id = :by_id AND o.state IN ({claim._ENDED}))"
_UNFENCED = checkpoints._ADVANCE["sqlite"].replace(checkpoints._HELD, "id = :of_job")

BUILDS: dict[str, Build] = {
    "no fence check": _settles_without(" AND fence = of_fence AND worker_name = by_worker"),
    "no state guard": _settles_without(" AND CASE state WHEN 'running' THEN true END"),
    "no crash count": _settles_without("crashes = crashes + crashed", "crashes = crashes"),
    "a drain is a crash": _patched("perdure_workers.recovery.rescue.handed_back", _as_crash),
    "the last in line is blamed": _patched("perdure_workers.recovery.rescue.begun", _blames_last),
    "a drain burns an attempt": _settles_without("attempt = attempt - unburned", "attempt = attempt"),
    "a cancelled job begins anew": _settles_without(settle._CANCELLED, "(1 = 0)"),
    "a bell is lost and nobody looks": _nobody_looks,
    "a lease never ends": _patched("perdure_workers.supervisor.duties.expire.judge", lambda *_, **__: WorkerState.HEALTHY),
    "a dead worker's jobs are left": _nobody_rescues,
    "a dead supervisor's work is left": _patched("perdure_workers.supervisor.duties.expire.rescue_worker", _nothing),
    "no permit is taken": _patched("perdure.admission.limits.Limits.hold", _nothing),
    "a dead child's permit is not given back": _patched("perdure.admission.limits.Limits.free", _nothing),
    "two trial calls": _two_trials,
    "a quorum of one": _quorum_of_one,
    "the oldest checkpoint wins": _patched("perdure.stores.replicated.quorum._newest", _oldest),
    "a checkpoint without a fence": _patched("perdure.ledger.running.checkpoints._ADVANCE", {"sqlite": _UNFENCED}),
    "effects are committed without their checkpoint": _patched(
        "perdure.running.transaction.OpenTransaction.write", _effects_alone
    ),
    "a bulkhead's worker takes any job": _claims_without("w.bulkhead = :bulkhead AND"),
    "a worker whose lease has ended may claim": _claims_without(_LEASE_COUNTS),
    "a message chooses what is run": _patched("perdure_workers.intake.quarantine.Quarantine._keep", _submitted),
    "a job is given something else": _patched("perdure.model.signature.Signature.decode", _blurred),
    "a letter is replayed twice": _patched("perdure.ledger.dead_letters.replay._replayed_before", lambda *_, **__: None),
}


#: Builds that show in long schedules of one kind of jobs; the others do in any.
KINDS_OF = {
    "no fence check": ("plain",),
    "a dead child's permit is not given back": ("limited",),
    "two trial calls": ("guarded",),
    "a quorum of one": ("kept",),
    "the oldest checkpoint wins": ("kept",),
    "a checkpoint without a fence": ("plain",),
    "effects are committed without their checkpoint": ("exact",),
    "a bulkhead's worker takes any job": ("plain", "urgent"),
    "a message chooses what is run": ("plain",),
    "a letter is replayed twice": ("poison",),
}

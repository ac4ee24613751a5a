"""The accidents, each with the steps that an operator takes; ``docs/drills.md`` has them as commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perdure import Perdure
from perdure.ledger.backup.fencing import fence
from perdure.model.states import WAITING_STATES
from perdure_workers.backup.backup import back_up
from perdure_workers.backup.restore import restore
from perdure_workers.chaos.cluster import Cluster
from perdure_workers.chaos.faults.fault import Bench
from perdure_workers.chaos.faults.redis import restarted_empty
from perdure_workers.chaos.workload import Workload
from perdure_workers.drills.regions import Regions

#: Seconds from the backup to the accident: what is submitted in them is what a restore may lose.
SINCE_BACKUP_S = 2.0
#: Seconds by which the other region's standby is behind when the first one is lost.
BEHIND_S = 1.0
#: Jobs that the operator throws away by mistake.
_PURGED = 30
#: The bulkhead that has two workers.
_BUSY = "normal"


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a drill happens.

    Attributes:
        cluster: The platform.
        workload: What submits to it.
        bench: Both, as faults take them.
        folder: Where archives go.
        work: Lets time go by until something is so, in seconds at most, and looks after the platform meanwhile.
    """

    cluster: Cluster
    workload: Workload
    bench: Bench
    folder: Path
    work: Callable[[Callable[[], bool], float], bool]

    @property
    def app(self) -> Perdure:
        """The platform's application."""
        return self.cluster.app


#: What is told of each step. ``!`` begins the accident; what comes before it is preparation.
Steps = Iterator[str]


def broker_loss(scene: Scene) -> Steps:
    """Redis dies, and its data are lost."""
    fault = restarted_empty(scene.bench)
    yield f"! Redis: {fault.__enter__()}"
    fault.__exit__(None, None, None)
    yield "an empty Redis is started at the same address; bells are rung anew by themselves"


def ledger_restore(scene: Scene) -> Steps:
    """All jobs are deleted from the ledger by hand, and it is restored from the backup of a moment ago."""
    archive = scene.folder / "before.tar.gz"
    archive.unlink(missing_ok=True)
    back_up(scene.app, archive)
    yield f"perdure db backup {archive.name}"
    taken = time.monotonic()
    scene.work(lambda: time.monotonic() - taken > SINCE_BACKUP_S, 2 * SINCE_BACKUP_S)
    scene.workload.stop(30.0)
    scene.cluster.lose_jobs()
    yield "! all jobs are deleted from the ledger"
    _, fenced = restore(scene.app, archive, overwrite=True, despite_workers=True)
    yield f"perdure db restore --overwrite --despite-workers: {fenced.waiting} wait, {fenced.workers} workers start anew"


def host_loss(scene: Scene) -> Steps:
    """A worker dies with all of its processes and is not started again."""
    lost = next(each for each in scene.cluster.workers() if each.spec.bulkhead == _BUSY)
    lost.kill()
    del scene.cluster.children[lost.spec.name]
    yield f"! {lost.spec.name} is gone (kill -9 of all its processes); its jobs go to the other one by themselves"


def region_loss(scene: Scene) -> Steps:
    """The region of the ledger's primary is gone whole, and the other one, whose standby is behind, takes over."""
    regions = scene.cluster
    assert isinstance(regions, Regions)
    regions.lag()
    held = time.monotonic()
    yield f"the standby in region B falls behind, by {BEHIND_S:g} s"
    scene.work(lambda: time.monotonic() - held > BEHIND_S, 2 * BEHIND_S)
    regions.lose_a()
    yield "! region A is gone: the ledger's primary, its Redis, its workers (kill -9)"
    # None claims between the two next steps: it could get the fence of a claim that did not come over from A.
    regions.stop_workers_of_b()
    yield "workers of region B are stopped; they cannot write to a standby in any case"
    regions.promote_b()
    yield "the standby is promoted"
    fenced = regions.app.ledger.transact(fence)
    yield f"perdure db fence: {fenced.waiting} wait, {fenced.taken_back} of them taken back from {fenced.workers} workers"
    regions.start_workers_of_b()
    yield "workers of region B are started"


def bad_deploy(scene: Scene) -> Steps:
    """All workers of a bulkhead are deployed with a setting that makes no sense, and rolled back."""
    deployed = [each for each in scene.cluster.workers() if each.spec.bulkhead == _BUSY]
    for worker in deployed:
        scene.cluster.respawn(worker, {"PERDURE_HEARTBEAT_INTERVAL": "never"})
    yield "! workers are deployed with heartbeat_interval=never"
    scene.work(lambda: not any(each.bulkhead == _BUSY for each in scene.app.workers.list()), 30.0)
    yield "perdure health: nobody serves the bulkhead"
    for worker in deployed:
        scene.cluster.respawn(worker, {})
    yield "rolled back"


def operator_error(scene: Scene) -> Steps:
    """A queue is purged by mistake, and brought back."""
    scene.app.bulkheads.pause(_BUSY, by="drill", reason="so that there is a queue")
    scene.workload.submit("chaos.quick", _PURGED)
    yield f"{_PURGED} jobs wait"
    for state in sorted(WAITING_STATES):
        for job in scene.app.jobs.list(state=state, bulkhead=_BUSY, limit=1000):
            job.cancel("by mistake")
    yield f"! the queue of {_BUSY} is purged"
    restored = sum(scene.app.jobs.restore(job.id) for job in scene.app.jobs.list(state="cancelled", limit=1000))
    scene.app.bulkheads.resume(_BUSY)
    yield f"perdure jobs restore --bulkhead {_BUSY}: {restored} restored"


ACCIDENTS: dict[str, Callable[[Scene], Steps]] = {
    "broker-loss": broker_loss,
    "ledger-restore": ledger_restore,
    "host-loss": host_loss,
    "region-loss": region_loss,
    "bad-deploy": bad_deploy,
    "operator-error": operator_error,
}

#: Accidents that need a platform of another kind.
PLATFORMS: dict[str, type[Cluster]] = {"region-loss": Regions}

"""The simulator's steps, looked at as steps of the model: each has to lead where the model allows it to lead."""

from __future__ import annotations

from sqlalchemy import text

from support.model.model import FINAL, Held, Job, Node, State, steps
from support.simulation.world import Node as Worker
from support.simulation.world import Step, World

_JOBS = text("SELECT id, task, state, fence, crashes, replay_of FROM perdure_jobs")
#: Kinds of jobs that the model has.
KINDS = ("plain", "poison")


class Witness:
    """Looks at a world after each step, and finds no fault as long as the model could have done the same."""

    def __init__(self) -> None:
        self._before = State()
        self.seen = 0

    def __call__(self, world: World, step: Step) -> None:
        """Compare; raises ``AssertionError`` when the model has no such step."""
        after, what = state_of(world), step[0]
        if what == "freeze" and not world.nodes[step[1]].frozen:
            what = "thaw"
        allowed = [state for word, state in steps(self._before) if word == what]
        assert after in allowed, f"{what}: the model does not lead to {after}\nfrom {self._before}"
        self._before, self.seen = after, self.seen + 1


def state_of(world: World) -> State:
    """Return what the model says of a world: its jobs from the ledger, its workers from their own hands."""
    rows = {row.id: row for row in world.ledger.read(lambda c: c.execute(_JOBS).all())}
    order = {job: number for number, job in enumerate(world.jobs)}
    replayed = [row.replay_of for row in rows.values() if row.replay_of]
    jobs = tuple(
        Job(
            poison=rows[job].task == "poison",
            state=rows[job].state if rows[job].state in ("running", *FINAL) else "waiting",
            fence=rows[job].fence,
            crashes=rows[job].crashes,
            saved=world.saved.get(job, 0),
            replays=replayed.count(job),
        )
        for job in world.jobs
    )
    ghosts = tuple(_held(ghost, order) for ghost in world.ghosts if ghost.leased and ghost.held)
    return State(jobs, tuple(_node(node, order) for node in world.nodes), ghosts, bool(world.bells.count))


def _node(worker: Worker, order: dict[str, int]) -> Node:
    node = Node(worker.up, worker.frozen, worker.leased, _held(worker, order), worker.begun, worker.running is not None)
    return node if node.up or node.leased else node.rest()


def _held(worker: Worker, order: dict[str, int]) -> Held:
    return tuple((order[claim.job_id], claim.fence) for claim in worker.held)

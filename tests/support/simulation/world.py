"""A platform in one process, moved step by step: workers that claim, run, settle, freeze and die around a real ledger.

A step is a word and a number: which worker, job or store. Only steps that change something are enabled.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from sqlalchemy import text

from perdure.admission.holder import holder_of
from perdure.broker.queues import BELL
from perdure.errors import BulkheadFull, JobCancelled, LeaseLost
from perdure.ledger import Ledger
from perdure.ledger.dead_letters.replay import Replay
from perdure.ledger.jobs.claim import Claimer
from perdure.ledger.jobs.settle import Ending
from perdure.ledger.schema import workers
from perdure.model.dead_letter import Actor
from perdure.model.events import JobEvent
from perdure.model.ids import new_id
from perdure.model.lanes import lane_of
from perdure.model.new_job import NewJob
from perdure.model.outcomes import Snooze
from perdure.model.records import RELEASED, Claim
from perdure.model.settlement import Ended, decide
from perdure.model.states import JobState
from perdure.model.storage_errors import StoreUnavailable
from perdure.model.worker_health import WorkerState
from perdure.running.attempt import RunningAttempt
from perdure.running.transaction import transaction
from perdure.stores.record import CheckpointKey, CheckpointRecord
from perdure_workers.intake.gate import Refused, admit
from perdure_workers.intake.quarantine import Quarantine
from perdure_workers.recovery.rescue import hand_back, rescue_child
from perdure_workers.shared.slots import Slot
from perdure_workers.supervisor.duties.expire import Expire
from perdure_workers.worker.choice import Along, Choice
from support.cluster import Effect
from support.simulation.ledger import SimulatedClock
from support.simulation.parts import BULKHEAD, KINDS, SETTINGS, TASKS, URGENT, SimulatedApp

#: What happens, and to which worker, job or store.
Step = tuple[str, int]
#: What a job is called with.
Call = list[Any]
WORKERS, JOBS, STORES = 2, 2, 3
#: What a dead letter is replayed as: its fault is mended.
REPLAYED = "plain"
#: Jobs that a child claims at once.
SLICE = 2
#: Rounds in which everything has to end once nothing more goes wrong; a poison pill takes three.
ROUNDS = 12
_MOMENTS = ("started_at", "heartbeat_at", "state_changed_at")
_FIRST_WORKERS = workers.insert()
#: What somebody sends who can write to the broker, but for the task that he names.
_MESSAGE = {
    "body": base64.b64encode(b'[[0, {}], {}, {"chord": null}]').decode(),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "properties": {"body_encoding": "base64", "delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": ""}},
}
_EFFECT = text("INSERT INTO effects (job_id, number) VALUES (:job, :number)")
_LETTER_OF = text("SELECT id, args, kwargs FROM perdure_dead_letters WHERE job_id = :job")


class _Main:
    """The checkpoint, as the transaction that saves it knows it."""

    name = "main"

    def saved(self, seq: int) -> None: ...


_MAIN = _Main()


@dataclass
class Node:
    """A worker with one child, as far as it knows itself."""

    index: int
    id: str
    bulkhead: str
    choice: Choice
    pid: int
    up: bool = True
    frozen: bool = False
    leased: bool = True
    #: What the child has claimed and not settled, in line; how many of these have begun, and how the ended ones did.
    held: list[Claim] = field(default_factory=list)
    begun: int = 0
    endings: list[Ending] = field(default_factory=list)
    running: Claim | None = None
    permits: ExitStack = field(default_factory=ExitStack)
    #: The attempt of a job whose checkpoints are committed with its effects, and how many of these there are.
    attempt: RunningAttempt | None = None
    done: int = 0
    until: float = 0.0

    @property
    def acts(self) -> bool:
        """Whether its processes do anything."""
        return self.up and not self.frozen

    def forget(self) -> None:
        """Let go of what the child holds, without a word to anybody."""
        self.held, self.begun, self.endings, self.running, self.permits = [], 0, [], None, ExitStack()

    def slot(self) -> Slot:
        """Return what the child has told its main process."""
        job = self.running
        return Slot(self.pid, bool(self.held), job.job_id if job else "", "", job.fence if job else 0, 0.0, None)


class World:
    """A platform.

    Args:
        ledger: Its ledger.
        clock: The ledger's clock.
        kinds: The kinds of the jobs that are submitted.
    """

    def __init__(self, ledger: Ledger, clock: SimulatedClock, kinds: Sequence[str] = KINDS) -> None:
        self.ledger, self.clock, self.kinds = ledger, clock, kinds
        self.app = cast(Any, SimulatedApp(ledger, clock, dict.fromkeys((*kinds, REPLAYED))))
        self.bells, self.ring = self.app.bells, self.app.ring
        self.looks, self.forged = True, False
        #: What was done.
        self.steps: list[Step] = []
        self.jobs: dict[str, str] = {}
        #: Of each job: what it was submitted with, and what its attempts were given.
        self.submitted: dict[str, Call] = {}
        self.given: dict[str, list[Call]] = {}
        #: Jobs that were to be cancelled, each with the fence that it had then.
        self.cancelled: dict[str, int] = {}
        #: Of each job: the fence of its newest claim, and of its newest checkpoint.
        self.fences: dict[str, int] = {}
        self.saved: dict[str, int] = {}
        #: Of each job: the fences of its claims that were lost with a process, and for which it was to blame.
        self.crashed: dict[str, set[int]] = {}
        self.dead: list[str] = []
        self.replays = 0
        self.effects: dict[str, list[Effect]] = {}
        self.lives = 0
        self.nodes = self._first_nodes()
        #: Workers that are gone, in whose place others run, and whose leases nobody has ended yet.
        self.ghosts: list[Node] = []
        #: Jobs that have ended, as the ledger told.
        self.ended: set[str] = set()

    def drawn(self, weights: Mapping[str, float], rng: random.Random) -> Step | None:
        """Return one of some steps that can be taken, each drawn by its weight; None when there is none."""
        left = dict(weights)
        while left:
            [word] = rng.choices(list(left), list(left.values()))
            if who := STEPS[word][0](self):
                return word, rng.choice(who)
            del left[word]
        return None

    def take(self, step: Step) -> bool:
        """Take a step, if it can be taken."""
        what, who = step
        who_can, does = STEPS[what]
        if who not in who_can(self):
            return False
        self.clock.now += 0.1
        self.steps.append(step)
        does(self, who)
        return True

    def calm_down(self) -> None:
        """Let nothing more go wrong, until all jobs have ended."""
        self.ring.away.clear()
        for _ in range(ROUNDS):
            if len(self.ended) == len(self.jobs):
                return
            for node in self.nodes:
                node.frozen = False
                self._finish(node)
            if self._silent():
                self._expire(0)
            for node in self.nodes:
                if not (node.up and node.leased):
                    self._start(node.index)
            self.clock.now += 2.0
            self._look(0)
            for node in self.nodes:
                if self.bells.counts[node.bulkhead]:
                    self._take(node.index)
                    self._finish(node)

    def waiting(self) -> int:
        """Return how many jobs have not ended and are in nobody's hands."""
        held = {claim.job_id for node in (*self.nodes, *self.ghosts) if node.leased for claim in node.held}
        return len(self.jobs) - len(self.ended | held)

    def _finish(self, node: Node) -> None:
        """Let a child end all that it holds."""
        while node.acts and node.held:
            if node.running:
                self._return(node.index)
            elif node.index in _may_begin(self):
                self._begin(node.index)
            else:
                self._settle(node.index)

    # -- what anybody does ---------------------------------------------------------------------------------------------

    def _submit(self, kind: int) -> None:
        name = self.kinds[kind]
        task, call = TASKS[name], [len(self.jobs), {"seen": [self.clock.now]}]
        payload = task.signature.encode(call, {})
        guards: dict[str, Any] = {"breaker": task.breaker, "limit_key": None if task.limit is None else ""}
        job = NewJob(new_id(), name, task.bulkhead, payload.args, payload.kwargs, payload.digest, **guards)
        self.ledger.jobs.submit([job])
        self._accepted(job.id, name, call)

    def _accepted(self, job: str, kind: str, call: Call) -> None:
        self.jobs[job], self.effects[job], self.crashed[job] = kind, [], set()
        self.submitted[job], self.given[job] = call, []
        self.bells.ring(TASKS[kind].bulkhead)

    def _cancel(self, number: int) -> None:
        job = list(self.jobs)[number]
        self.cancelled[job] = self.fences.get(job, 0)
        self.ledger.jobs.cancel(job, "simulated")

    def _replay(self, number: int) -> None:
        """Replay a dead letter, whose fault is mended by now."""
        job = self.dead[number]
        letter = self.ledger.read(lambda c: c.execute(_LETTER_OF, {"job": job}).one())
        new = NewJob(new_id(), REPLAYED, BULKHEAD, letter.args, letter.kwargs, "d", replay_of=job)
        [replayed] = self.ledger.letters.replay([Replay(letter.id, new)], Actor("simulator", "simulator"))
        self.replays += 1
        if replayed.is_new:
            self._accepted(new.id, REPLAYED, self.submitted[job])

    def over(self, event: JobEvent) -> None:
        """Take note of what the ledger tells of a job that has ended."""
        self.ended.add(event.job_id)
        if event.target is JobState.DEAD:
            self.dead.append(event.job_id)

    def _lose_bells(self, _: int) -> None:
        self.bells.counts.clear()

    def _forge_bell(self, _: int) -> None:
        self.bells.ring(BULKHEAD)

    def _forge_message(self, kind: int) -> None:
        """Have somebody name a task in the broker, past the platform."""
        self.forged = True
        came = admit(_MESSAGE | {"headers": {"task": self.kinds[kind], "id": new_id()}}, of_bells=True)
        assert came is not None
        if came["headers"]["task"] == BELL:
            self.bells.ring(BULKHEAD)
        else:
            refused = msgspec.json.decode(base64.b64decode(came["body"]), type=Refused)
            Quarantine(self.app, BULKHEAD, cast(Any, None))._keep(refused)

    def _wait(self, _: int) -> None:
        self.clock.now += 2.0

    def _look(self, _: int) -> None:
        for bulkhead in {node.bulkhead: None for node in self.nodes} if self.looks else ():
            self.bells.counts[bulkhead] = [lane.waits for lane in self.ledger.jobs.lanes(bulkhead)].count(0.0)

    def _store(self, which: int) -> None:
        """Have some stores away, and the others back."""
        self.ring.away = {name for place, name in enumerate(self.ring.stores) if which >> place & 1}

    def _expire(self, ended: int) -> None:
        """Let a lease pass in which those beat that can, and judge the others.

        Args:
            ended: Whether a supervisor has ended their leases, and died before it took the jobs back.
        """
        self.clock.now += SETTINGS.lease_ttl + 1.0
        for node in self.nodes:
            if node.acts and node.leased:
                self.ledger.workers.beat(node.id)
        for node in self._silent():
            node.leased = False
            self._blame(node.held[:1])  # which of them had begun nobody knows
            if ended:
                self.ledger.workers.change_state(node.id, WorkerState.FAILED, "by a supervisor that died")
        supervisor = Expire(self.app)
        supervisor.done_at = self.clock.now  # it has looked all the time
        supervisor.run_once()

    def _silent(self) -> list[Node]:
        return [node for node in (*self.nodes, *self.ghosts) if node.leased and not node.acts]

    # -- what a worker does --------------------------------------------------------------------------------------------

    def _first_nodes(self) -> list[Node]:
        """Return the workers of the beginning; their rows are written at once, as each schedule needs them."""
        nodes = [self._node(index) for index in range(WORKERS)]
        now = {"state": WorkerState.HEALTHY.value, "draining": False} | dict.fromkeys(_MOMENTS, self.clock.now)
        rows = [self._row(node) | now for node in nodes]
        self.ledger.read(lambda c: c.execute(_FIRST_WORKERS, rows))
        return nodes

    def _node(self, index: int) -> Node:
        self.lives += 1
        worker = new_id()
        # Where there are urgent jobs the last worker has nothing else to do.
        bulkhead = URGENT if "urgent" in self.kinds and index == WORKERS - 1 else BULKHEAD
        return Node(index, worker, bulkhead, self._choice(bulkhead, worker, f"w{index}", self.lives), self.lives)

    def _row(self, node: Node) -> dict[str, Any]:
        of_all = {"host": "h", "concurrency": 1, "lease_ttl": SETTINGS.lease_ttl, "lock_path": None}
        return {"id": node.id, "name": f"w{node.index}", "pid": node.pid, "bulkhead": node.bulkhead, **of_all}

    def _choice(self, bulkhead: str, worker: str, name: str, pid: int) -> Choice:
        return Choice(self.app, Claimer(bulkhead, worker, name, pid, tuple(self.app.tasks)))

    def _start(self, index: int) -> None:
        self.ghosts.append(self.nodes[index])
        self.nodes[index] = self._node(index)
        self.ledger.workers.register(self._row(self.nodes[index]))

    def _take(self, index: int, along: Along | None = None) -> None:
        node = self.nodes[index]
        self.bells.counts[node.bulkhead] -= 1
        node.until = self.clock.now + SETTINGS.lease_ttl
        node.held, node.begun, node.endings = self._given(node, node.choice.claim(SLICE, along)), 0, []
        if len(node.held) >= SLICE:
            self.bells.ring(node.bulkhead)

    def _ahead(self, index: int) -> None:
        """Claim the next job behind the one that runs; it begins when that has ended, or goes back with what ended."""
        node = self.nodes[index]
        node.held += self._given(node, node.choice.claim_ahead(self._running(index)))

    def _given(self, node: Node, claims: list[Claim]) -> list[Claim]:
        assert self.jobs.keys() >= {claim.job_id for claim in claims}, "a worker was given what nobody submitted"
        assert node.leased or not claims, "a worker was given jobs whose lease had ended"
        self.fences |= {claim.job_id: claim.fence for claim in claims}
        return claims

    def _begin(self, index: int) -> None:
        node = self.nodes[index]
        claim = node.held[node.begun]
        node.begun += 1
        task, held = TASKS[claim.task], ExitStack()
        try:
            if claim.limit_key is not None:
                self.app.limits.hold(claim, held)
            saved = self.ring.newest(CheckpointKey(claim.job_id, "main")) if claim.task == "kept" else claim.checkpoint_seq
            if claim.task == "exact":
                self._resume(node, claim)
        except BulkheadFull:
            self._ends(node, claim, Snooze(1.0))
            return
        except StoreUnavailable as error:
            self._ends(node, claim, error)
            return
        if task.breaker is not None and not self.app.breaker.enter(holder_of(claim)):
            node.endings.append((claim, RELEASED))
            node.choice.pass_by(lane_of(claim.task, limit_key=None, breaker=claim.breaker))
            return
        node.running, node.permits = claim, held
        self.given[claim.job_id].append(task.signature.decode(claim.args, claim.kwargs)[0])
        self._write(claim, f"start:{saved}")
        if claim.task == "poison":
            self._crash(index)

    def _save(self, index: int) -> None:
        node, claim = self.nodes[index], self._running(index)
        try:
            if claim.task == "exact":
                self._commit(node, claim)
                return
            seq, standing = self.ledger.running.save_checkpoint(claim.job_id, claim.fence, "main", b"1", 0)
            if standing.cancel_requested:
                raise JobCancelled("it was asked to stop")
            if claim.task == "kept":
                self.ring.save(CheckpointRecord(claim.job_id, "main", seq, claim.fence, b"1", self.clock.now))
        except (LeaseLost, JobCancelled, StoreUnavailable) as error:
            self._ends(node, claim, error)
        else:
            self.saved[claim.job_id] = claim.fence
            self._write(claim, f"saved:{seq}")

    def _resume(self, node: Node, claim: Claim) -> None:
        """Begin a job of which the checkpoint says how many effects it has made."""
        node.attempt = RunningAttempt(claim, self.ledger)
        found = node.attempt.storage.find(claim, "main", "checkpoint")
        node.done = int(found.data or b"0")

    def _commit(self, node: Node, claim: Claim) -> None:
        """Make an effect and save the checkpoint that says so in one transaction."""
        assert node.attempt is not None
        data = str(node.done + 1).encode()
        with transaction(node.attempt, final=False) as connection:
            connection.execute(_EFFECT, {"job": claim.job_id, "number": node.done + 1})
            assert node.attempt.open_transaction is not None
            node.attempt.open_transaction.save(
                _MAIN, lambda seq: CheckpointRecord(claim.job_id, "main", seq, claim.fence, data, self.clock.now), 0
            )
        node.done += 1
        self._write(claim, f"saved:{node.attempt.last_seq}")

    def _return(self, index: int) -> None:
        claim = self._running(index)
        self._write(claim, "end")
        self._ends(self.nodes[index], claim, None)

    def _raise(self, index: int) -> None:
        self._ends(self.nodes[index], self._running(index), RuntimeError("simulated"))

    def _ends(self, node: Node, claim: Claim, error: BaseException | None) -> None:
        """Note how a function ended, and give back what it held."""
        node.running = None
        node.permits.close()
        if holder_of(claim) in self.app.breaker.calls:
            self.app.breaker.leave(holder_of(claim), "f" if type(error) is RuntimeError else "s")
        ended = Ended(result="1" if error is None else None, error=error)
        node.endings.append((claim, decide(ended, claim, TASKS[claim.task].retry, self.clock.rng)))

    def _settle(self, index: int) -> None:
        """Settle what ended and give back what was not begun; who has ended all takes what is next along with that."""
        node = self.nodes[index]
        rest = [(claim, RELEASED) for claim in node.held[node.begun :]]
        if not (rest or node.running) and self.bells.counts[node.bulkhead]:
            ends = tuple(node.endings)
            self._take(index, lambda by, most, since: self.ledger.jobs.settle_and_claim(ends, (), by, most, since)[1])
            return
        self.ledger.jobs.settle_all([*node.endings, *rest])
        node.held, node.begun, node.endings = [node.running] if node.running else [], int(node.running is not None), []
        if rest:
            self.bells.ring(node.bulkhead)

    def _lose_answer(self, index: int) -> None:
        """Settle, and die before the answer arrives."""
        self._settle(index)
        self._crash(index)

    def _crash(self, index: int) -> None:
        """Kill the child, which its worker sees at once."""
        node = self.nodes[index]
        self._blame([node.running] if node.running else node.held[:1])
        rescue_child(self.app, node.id, node.pid, "was killed", node.slot())
        node.forget()
        self.lives += 1
        node.pid, node.choice = self.lives, self._choice(node.bulkhead, node.id, f"w{index}", self.lives)

    def _blame(self, lost: Sequence[Claim]) -> None:
        """Note whose crash it is that a process is gone."""
        for claim in lost:
            self.crashed[claim.job_id].add(claim.fence)

    def _die(self, index: int) -> None:
        self.nodes[index].up = self.nodes[index].frozen = False

    def _freeze(self, index: int) -> None:
        self.nodes[index].frozen = not self.nodes[index].frozen

    def _drain(self, index: int) -> None:
        node = self.nodes[index]
        hand_back(self.app, node.id, "drained", lambda _: node.slot() if node.running else None)
        self.ledger.workers.change_state(node.id, WorkerState.GONE, "drained")
        node.forget()
        node.up = node.leased = False

    def _running(self, index: int) -> Claim:
        claim = self.nodes[index].running
        assert claim is not None
        return claim

    def _write(self, claim: Claim, what: str) -> None:
        pid = self.nodes[int(claim.worker_name[1:])].pid if what.startswith("start") else claim.worker_pid
        self.effects[claim.job_id].append(Effect(what, claim.attempt, claim.fence, pid, self.clock.now))
        self.clock.now += 1e-3


# -- who can ---------------------------------------------------------------------------------------------------------------

Who = Callable[[World], list[int]]


def _once(condition: Callable[[World], bool]) -> Who:
    return lambda world: [0] if condition(world) else []


def _nodes(condition: Callable[[Node], object]) -> Who:
    return lambda world: [node.index for node in world.nodes if condition(node)]


def _may_begin(world: World) -> list[int]:
    # A process that was stopped for a lease begins none of what it holds.
    now = world.clock.now
    return [n.index for n in world.nodes if n.acts and not n.running and n.begun < len(n.held) and now < n.until]


def _may_settle(node: Node) -> bool:
    return node.acts and bool(node.held) and (bool(node.endings) or not node.running or node.begun < len(node.held))


def _may_claim_ahead(node: Node) -> bool:
    return node.acts and node.running is not None and node.running.is_plain and node.held == [node.running]


def _may_take(world: World) -> list[int]:
    # Who was stopped does not know yet that its lease has ended.
    idle = [node for node in world.nodes if node.acts and not node.held]
    return [node.index for node in idle if world.bells.counts[node.bulkhead] and world.waiting()]


def _may_cancel(world: World) -> list[int]:
    return [number for number, job in enumerate(world.jobs) if job not in world.cancelled and job not in world.ended]


#: Each step: for whom it can be taken, and what it does.
STEPS: dict[str, tuple[Who, Callable[[World, int], None]]] = {
    "submit": (lambda world: list(range(len(world.kinds))) if len(world.jobs) < JOBS else [], World._submit),
    "take": (_may_take, World._take),
    "ahead": (_nodes(_may_claim_ahead), World._ahead),
    "begin": (_may_begin, World._begin),
    "save": (_nodes(lambda node: node.acts and node.running), World._save),
    "return": (_nodes(lambda node: node.acts and node.running), World._return),
    "raise": (_nodes(lambda node: node.acts and node.running), World._raise),
    "settle": (_nodes(_may_settle), World._settle),
    "look": (_once(lambda world: bool(world.waiting()) and not world.bells.count), World._look),
    "wait": (_once(lambda world: bool(world.waiting())), World._wait),
    "start": (_nodes(lambda node: not node.up or not (node.leased or node.frozen or node.held)), World._start),
    "replay": (lambda world: list(range(len(world.dead))), World._replay),
    "cancel": (_may_cancel, World._cancel),
    "lose bells": (_once(lambda world: bool(world.bells.count)), World._lose_bells),
    "forge bell": (_once(lambda world: not world.bells.count), World._forge_bell),
    "forge message": (lambda world: [] if world.forged else list(range(len(world.kinds))), World._forge_message),
    "store": (lambda world: list(range(2**STORES)) if "kept" in world.jobs.values() else [], World._store),
    "expire": (lambda world: [0, 1] if world._silent() else [], World._expire),
    "lose answer": (_nodes(lambda node: node.acts and node.leased and node.endings), World._lose_answer),
    "crash": (_nodes(lambda node: node.acts and node.leased and node.held), World._crash),
    "die": (_nodes(lambda node: node.up and node.held), World._die),
    "freeze": (_nodes(lambda node: node.up and (node.held or node.frozen)), World._freeze),
    "drain": (_nodes(lambda node: node.acts and node.leased and node.held), World._drain),
}

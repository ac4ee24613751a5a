"""The model: what a platform's state is, which steps there are, and to which states each may lead.

It is written from what the platform promises and shares no code with it. Times are left out: whatever depends on them (what
is due, who wakes first) may happen or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, NamedTuple

#: Jobs that a worker claims at once, and crashes after which a job is given up.
SLICE, MAX_CRASHES = 2, 3

FINAL = ("succeeded", "dead")


class Job(NamedTuple):
    """A job in the ledger. ``poison`` kills each process that begins it; ``saved`` is the fence of its checkpoint."""

    poison: bool = False
    state: str = "waiting"
    fence: int = 0
    crashes: int = 0
    saved: int = 0
    replays: int = 0


#: A job's number and the fence of a claim, in the hands of a worker.
Held = tuple[tuple[int, int], ...]


class Node(NamedTuple):
    """A worker: what it holds in line, how many of these have begun, and whether the last of those runs."""

    up: bool = True
    frozen: bool = False
    leased: bool = True
    held: Held = ()
    begun: int = 0
    running: bool = False

    @property
    def acts(self) -> bool:
        """Whether its processes do anything."""
        return self.up and not self.frozen

    def rest(self) -> Node:
        """Return it with nothing in its hands."""
        return self._replace(held=(), begun=0, running=False)


class State(NamedTuple):
    """All that there is. ``ghosts`` are the hands of workers that are gone and whose leases have not ended."""

    jobs: tuple[Job, ...] = ()
    nodes: tuple[Node, ...] = (Node(), Node())
    ghosts: tuple[Held, ...] = ()
    bell: bool = False
    #: What was done that must not be; a state that has it is the end.
    breach: str = ""

    @property
    def waiting(self) -> list[int]:
        """The jobs that may be claimed."""
        return [number for number, job in enumerate(self.jobs) if job.state == "waiting"]


@dataclass(frozen=True)
class Rules:
    """What holds the platform together; a broken configuration lacks one.

    Attributes:
        fence: Only the newest claim of a job may write.
        guard: Only what runs can be settled.
        counts_crashes: A crash is counted.
        looks: A worker looks for work now and then, without a bell.
        leases_end: A worker that is silent loses its lease.
        replays_once: A dead letter is replayed once.
        releases: What was claimed and not begun is given back.
        max_crashes: Crashes after which a job is given up.
    """

    fence: bool = True
    guard: bool = True
    counts_crashes: bool = True
    looks: bool = True
    leases_end: bool = True
    replays_once: bool = True
    releases: bool = True
    max_crashes: int = MAX_CRASHES


SOUND = Rules()
BROKEN = {name: replace(SOUND, **{name: False}) for name in Rules.__annotations__ if name != "max_crashes"}

#: What befalls a platform, and does not have to happen for it to go on.
MISFORTUNES = ("lose bells", "forge bell", "die", "freeze", "crash", "lose answer", "drain")


def steps(state: State, rules: Rules = SOUND) -> Iterator[tuple[str, State]]:
    """Yield each step that can be taken, with a state to which it may lead."""
    for what, step in _STEPS.items():
        for after in step(state, rules):
            yield what, after


# -- writing to the ledger -------------------------------------------------------------------------------------------------


def _is_newest(job: Job, fence: int) -> bool:
    return job.state == "running" and job.fence == fence


def _may_write(job: Job, fence: int, rules: Rules) -> bool:
    return (job.fence == fence or not rules.fence) and (job.state == "running" or not rules.guard)


def _written(state: State, number: int, fence: int, rules: Rules, /, **new: Any) -> State:
    """Return the state after somebody with a fence has written of a job; a stale one changes nothing."""
    job = state.jobs[number]
    if not _may_write(job, fence, rules):
        return state
    breach = "" if _is_newest(job, fence) else f"job {number} was written with fence {fence}, which is not its newest"
    if job.state in FINAL:
        breach = f"job {number} had ended, and was written again"
    jobs = (*state.jobs[:number], job._replace(**new), *state.jobs[number + 1 :])
    return state._replace(jobs=jobs, breach=state.breach or breach)


def _lost(state: State, number: int, fence: int, rules: Rules) -> State:
    """Take back a job whose process is gone and that counts the crash."""
    crashes = state.jobs[number].crashes + rules.counts_crashes
    after = "dead" if state.jobs[number].crashes + 1 >= rules.max_crashes else "waiting"
    return _written(state, number, fence, rules, state=after, crashes=crashes)


def _taken_back(state: State, held: Held, guilty: tuple[int, int] | None, rules: Rules) -> State:
    """Take back what somebody holds who is gone; the guilty one counts a crash, by default the first in line."""
    current = tuple(claim for claim in held if _is_newest(state.jobs[claim[0]], claim[1]))
    blamed = guilty if guilty is not None else current[0] if current else None
    for claim in current if rules.guard else held:
        state = _lost(state, *claim, rules) if claim == blamed else _written(state, *claim, rules, state="waiting")
    return state._replace(bell=state.bell or bool(current))


def _with(state: State, who: int, node: Node) -> State:
    return state._replace(nodes=(*state.nodes[:who], node, *state.nodes[who + 1 :]))


# -- steps -----------------------------------------------------------------------------------------------------------------


def _submit(state: State, _: Rules) -> Iterator[State]:
    for poison in (False, True):
        yield state._replace(jobs=(*state.jobs, Job(poison)), bell=True)


def _take(state: State, _: Rules) -> Iterator[State]:
    for who in range(len(state.nodes)):
        yield from _taken(state, who)


def _taken(state: State, who: int) -> Iterator[State]:
    node = state.nodes[who]
    if not (node.acts and not node.held and state.bell):
        return
    for count in range(SLICE + 1 if node.leased else 1):  # whose lease has ended is given nothing
        for numbers in permutations(state.waiting, count):
            jobs = list(state.jobs)
            for number in numbers:
                jobs[number] = jobs[number]._replace(state="running", fence=jobs[number].fence + 1)
            held = tuple((number, jobs[number].fence) for number in numbers)
            after = _with(state._replace(jobs=tuple(jobs)), who, node._replace(held=held))
            # Another bell may be on its way, and a full slice rings one.
            yield from (after._replace(bell=bell) for bell in (False, True))


def _begin(state: State, rules: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if node.acts and node.leased and not node.running and node.begun < len(node.held):
            begun = node._replace(begun=node.begun + 1, running=True)
            is_poison = state.jobs[node.held[node.begun][0]].poison
            yield _crashed(_with(state, who, begun), who, rules) if is_poison else _with(state, who, begun)


def _save(state: State, rules: Rules) -> Iterator[State]:
    for who, node in _running(state):
        number, fence = node.held[node.begun - 1]
        if _may_write(state.jobs[number], fence, rules):
            yield _written(state, number, fence, rules, saved=fence)
        else:
            yield _with(state, who, node._replace(running=False))


def _return(state: State, _: Rules) -> Iterator[State]:
    for who, node in _running(state):
        yield _with(state, who, node._replace(running=False))


def _settle(state: State, rules: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        ended = node.begun - node.running
        if node.acts and node.held and (ended or not node.running or node.begun < len(node.held)):
            settled = _settled(state, who, rules)
            yield settled
            yield from _taken(settled, who)  # in the same transaction, where nothing is left


def _settled(state: State, who: int, rules: Rules) -> State:
    node = state.nodes[who]
    for number, fence in node.held[: node.begun - node.running]:
        state = _written(state, number, fence, rules, state="succeeded")
    rest = node.held[node.begun :]
    for number, fence in rest if rules.releases else ():
        state = _written(state, number, fence, rules, state="waiting")
    kept = node.held[node.begun - 1 : node.begun] if node.running else ()
    return _with(state._replace(bell=state.bell or bool(rest)), who, node._replace(held=kept, begun=len(kept)))


def _lose_answer(state: State, rules: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if node.acts and node.leased and node.begun - node.running:
            settled = _settled(state, who, rules)
            # The overseer has seen the child hold what it settled: only a guard keeps that from being taken back.
            seen = settled if rules.guard else _with(settled, who, node._replace(held=node.held[: node.begun]))
            yield _crashed(seen, who, rules)
            yield from (_crashed(taken, who, rules) for taken in _taken(settled, who))


def _crash(state: State, rules: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if node.acts and node.leased and node.held:
            yield _crashed(state, who, rules)


def _crashed(state: State, who: int, rules: Rules) -> State:
    node = state.nodes[who]
    guilty = node.held[node.begun - 1] if node.running else None
    return _with(_taken_back(state, node.held, guilty, rules), who, node.rest())


def _die(state: State, _: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if node.up and node.held:
            gone = node._replace(up=False, frozen=False)
            yield _with(state, who, gone if node.leased else gone.rest())


def _freeze(state: State, _: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if node.up and node.held and not node.frozen:
            yield _with(state, who, node._replace(frozen=True))


def _thaw(state: State, _: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if node.up and node.frozen:
            yield _with(state, who, node._replace(frozen=False))


def _expire(state: State, rules: Rules) -> Iterator[State]:
    """End the leases of all that are silent. A worker that is frozen keeps in its hands what it no longer has."""
    silent = [who for who, node in enumerate(state.nodes) if node.leased and not node.acts]
    if not (rules.leases_end and (silent or state.ghosts)):
        return
    for who in silent:
        node = state.nodes[who]
        state = _taken_back(state, node.held, None, rules)
        state = _with(state, who, node._replace(leased=False) if node.up else node.rest()._replace(leased=False))
    for held in state.ghosts:
        state = _taken_back(state, held, None, rules)
    yield state._replace(ghosts=())


def _drain(state: State, rules: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if node.acts and node.leased and node.held:
            after = state
            for number, fence in node.held:
                after = _written(after, number, fence, rules, state="waiting")
            rings = state.bell or any(_is_newest(state.jobs[number], fence) for number, fence in node.held)
            yield _with(after._replace(bell=rings), who, Node(up=False, leased=False))


def _start(state: State, _: Rules) -> Iterator[State]:
    for who, node in enumerate(state.nodes):
        if not node.up or not (node.leased or node.frozen or node.held):
            ghosts = (*state.ghosts, node.held) if node.leased and node.held else state.ghosts
            yield _with(state, who, Node())._replace(ghosts=ghosts)


def _look(state: State, rules: Rules) -> Iterator[State]:
    if state.waiting and not state.bell:
        yield state  # nothing of it is due
        if rules.looks:
            yield state._replace(bell=True)


def _replay(state: State, rules: Rules) -> Iterator[State]:
    for number, job in enumerate(state.jobs):
        if job.state == "dead" and (not job.replays or not rules.replays_once):
            jobs = (*state.jobs[:number], job._replace(replays=job.replays + 1), *state.jobs[number + 1 :], Job())
            breach = f"job {number} was replayed twice" if job.replays else state.breach
            yield state._replace(jobs=jobs, bell=True, breach=breach)
        elif job.state == "dead":
            yield state  # the second one gets the job of the first


def _lose_bells(state: State, _: Rules) -> Iterator[State]:
    if state.bell:
        yield state._replace(bell=False)


def _forge_bell(state: State, _: Rules) -> Iterator[State]:
    if not state.bell:
        yield state._replace(bell=True)


def _wait(state: State, _: Rules) -> Iterator[State]:
    yield state


def _running(state: State) -> Iterator[tuple[int, Node]]:
    return ((who, node) for who, node in enumerate(state.nodes) if node.acts and node.running)


_STEPS: dict[str, Callable[[State, Rules], Iterator[State]]] = {
    "submit": _submit,
    "take": _take,
    "begin": _begin,
    "save": _save,
    "return": _return,
    "settle": _settle,
    "look": _look,
    "wait": _wait,
    "start": _start,
    "thaw": _thaw,
    "expire": _expire,
    "replay": _replay,
    "lose bells": _lose_bells,
    "forge bell": _forge_bell,
    "lose answer": _lose_answer,
    "crash": _crash,
    "die": _die,
    "freeze": _freeze,
    "drain": _drain,
}

#: Steps of the simulator that the model has.
WORDS = tuple(word for word in _STEPS if word != "thaw")

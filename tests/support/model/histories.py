"""Histories of real runs, held against the model: is there a way through it on which all that was seen happens?

Of a run only some steps leave something behind: jobs write that they begin, save and end, and the ledger how attempts
ended. All others may have been taken or not. This is how traces of programs are checked against a TLA+ specification
(Cirstea and others, "Validating traces of distributed programs against TLA+ specifications", 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from support.cluster import Effect
from support.model.model import SOUND, Held, Job, Node, Rules, State, steps

#: What a job has written, and under which fence; and how an attempt ended, by its fence.
Seen = tuple[str, int]

#: Steps that say nothing of one job that was submitted: of bells there may always be one.
_OTHERS = ("submit", "look", "wait", "replay", "lose bells", "forge bell")
#: Workers that may hold a claim of one job at the same moment: one that has it, and those that are frozen with an old one.
_WORKERS = (2, 3)


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one job of a run, which had to succeed unless it is poison.

    Attributes:
        effects: What it wrote, in the order of time: ``start``, ``saved`` and ``end``.
        ends: How its attempts ended, by fence. Claims that were given back before they began have none.
        state: The job's state at last.
        fence: Of its last claim.
        crashes: As they were counted.
        poison: Whether it kills each process that begins it.
    """

    effects: tuple[Seen, ...]
    ends: tuple[Seen, ...]
    state: str
    fence: int
    crashes: int
    poison: bool = False

    @classmethod
    def of(cls, effects: list[Effect], outcomes: dict[int, str], row: tuple[str, int, int]) -> History:
        """Return that of a job of :class:`support.cluster.Cluster`.

        Args:
            effects: What it wrote.
            outcomes: How each attempt ended, by its fence.
            row: Its state, fence and crashes in the ledger.
        """
        in_order = sorted(effects, key=lambda effect: effect.at)
        wrote = tuple((effect.what.partition(":")[0], effect.fence) for effect in in_order)
        return cls(wrote, tuple((outcome, fence) for fence, outcome in sorted(outcomes.items())), *row)


class _Place(NamedTuple):
    """How far a history is explained: a state of the model, and how much was seen on the way to it."""

    state: State
    effects: int = 0
    ends: int = 0


def contradiction(history: History, rules: Rules = SOUND) -> str | None:
    """Return where a history leaves the model; None when the model could have done the same."""
    furthest = _Place(State())
    for workers in _WORKERS:
        first = _Place(State((Job(history.poison),), (Node(),) * workers, bell=True))
        seen, line = {first}, [first]
        while line:
            place = line.pop()
            if _is_explained(place, history):
                return None
            furthest = max(furthest, place, key=lambda one: one.effects + one.ends)
            for after in _next(place, history, rules):
                if after not in seen:
                    seen.add(after)
                    line.append(after)
    wrote, ended = history.effects[furthest.effects :][:1], history.ends[furthest.ends :][:1]
    return f"the model does not lead beyond {furthest}: next was written {wrote}, ended {ended}; of {history}"


def _is_explained(place: _Place, history: History) -> bool:
    job = place.state.jobs[0]
    all_seen = (place.effects, place.ends) == (len(history.effects), len(history.ends))
    return all_seen and (job.state, job.fence, job.crashes) == (history.state, history.fence, history.crashes)


def _next(place: _Place, history: History, rules: Rules) -> Iterator[_Place]:
    for what, after in steps(place.state, rules):
        if what in _OTHERS or after.jobs[0].fence > history.fence or after.breach:
            continue
        ended = _ended(what, place.state, after)
        if ended is not None and history.ends[place.ends : place.ends + 1] != (ended,):
            continue
        wrote = _wrote(what, place.state, after)
        came = _Place(_plain(after), place.effects, place.ends + (ended is not None))
        if wrote is None or wrote[0] == "saved" or (wrote[0] == "start" and wrote not in history.effects):
            yield came  # it may have died before it had written that; who returns has written it
        if wrote is not None and history.effects[place.effects : place.effects + 1] == (wrote,):
            yield came._replace(effects=place.effects + 1)


def _plain(state: State) -> State:
    """Return a state as one of all those that differ in nothing that matters here: workers are alike, bells are rung."""
    jobs = (state.jobs[0]._replace(saved=0),)
    return state._replace(jobs=jobs, nodes=tuple(sorted(state.nodes)), ghosts=tuple(sorted(state.ghosts)), bell=True)


def _wrote(what: str, before: State, after: State) -> Seen | None:
    """Return what the job has written in a step."""
    if what not in ("begin", "save", "return"):
        return None
    changed = [node for node, then in zip(before.nodes, after.nodes, strict=True) if node != then]
    if what == "save":  # who may not is stopped by it
        return None if changed else ("saved", before.jobs[0].fence)
    [(_, fence)] = _in_hand(changed[0])
    return ("start" if what == "begin" else "end"), fence


def _in_hand(node: Node) -> Held:
    return node.held[max(node.begun - 1, 0) :][:1]


def _ended(what: str, before: State, after: State) -> Seen | None:
    """Return how an attempt has ended in a step, as the ledger tells it."""
    then, now = before.jobs[0], after.jobs[0]
    if now.state == then.state:
        return None
    if now.crashes > then.crashes:
        return "crashed", now.fence
    if now.state == "succeeded":
        return now.state, now.fence
    was_running = any(node.running and (0, then.fence) in node.held for node in before.nodes)
    return ("handed_back", now.fence) if what == "drain" and was_running else None

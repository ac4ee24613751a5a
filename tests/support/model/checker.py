"""Visits every state that a model can reach, and says how the first bad one is reached."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from support.model.model import FINAL, MAX_CRASHES, MISFORTUNES, SOUND, Held, Node, Rules, State, steps

#: A state, and how many misfortunes may still befall it.
Place = tuple[State, int]


@dataclass
class Checked:
    """What a check has found.

    Attributes:
        states: How many states there are.
        breach: What is wrong; None when nothing is.
        trace: The shortest way to it: each step with the state after it.
    """

    states: int
    breach: str | None = None
    trace: tuple[tuple[str, State], ...] = ()

    def __str__(self) -> str:
        lines = (f"  {number:2}. {what}: {_told(state)}" for number, (what, state) in enumerate(self.trace, 1))
        return "\n".join([f"{self.states} states: {self.breach or 'sound'}", *lines])


def check(rules: Rules = SOUND, poison: tuple[bool, ...] = (False, True), misfortunes: int = 2) -> Checked:
    """Visit all states of two workers with some jobs.

    In none of them has anything been written that must not be, and from each of them all jobs come to their end without any
    further misfortune.

    Args:
        rules: What holds the platform together.
        poison: For each job that is submitted, whether it kills its processes.
        misfortunes: How many befall it, at most.
    """
    first: Place = (State(), misfortunes)
    came: dict[Place, tuple[Place, str] | None] = {first: None}
    calm: dict[Place, list[Place]] = {}
    queue = deque([first])
    while queue:
        place = queue.popleft()
        breach = _breach(place[0])
        if breach:
            return Checked(len(came), breach, _trace(came, place))
        for what, after, is_calm in _next(place, rules, poison):
            if after not in came:
                came[after] = place, what
                queue.append(after)
            if is_calm:
                calm.setdefault(after, []).append(place)
    hopeful = _leading_to([place for place in came if _is_end(place[0], poison)], calm)
    stuck = next((place for place in came if place not in hopeful), None)
    if stuck is not None:
        return Checked(len(came), "some job never ends, whatever happens from here", _trace(came, stuck))
    return Checked(len(came))


def _next(place: Place, rules: Rules, poison: tuple[bool, ...]) -> list[tuple[str, Place, bool]]:
    state, left = place
    found = []
    for what, after in steps(state, rules):
        is_calm = what not in MISFORTUNES
        if what == "submit" and (len(state.jobs) >= len(poison) or after.jobs[-1].poison != poison[len(state.jobs)]):
            continue
        if after != state and (is_calm or left):
            found.append((what, (_plain(after), left - (not is_calm)), is_calm))
    return found


def _plain(state: State) -> State:
    """Return a state as one of all those that differ in nothing that matters.

    Of a fence only counts whether it is the newest, so that there are finitely many states; and both workers are alike.
    """

    def plain(held: Held) -> Held:
        return tuple((number, int(fence == state.jobs[number].fence)) for number, fence in held)

    return state._replace(
        jobs=tuple(job._replace(fence=1, saved=0) for job in state.jobs),
        nodes=tuple(sorted(node._replace(held=plain(node.held)) for node in state.nodes)),
        ghosts=tuple(sorted(plain(held) for held in state.ghosts)),
    )


def _breach(state: State) -> str:
    if state.breach:
        return state.breach
    newest = [
        claim
        for node in state.nodes
        for claim in node.held
        if node.leased and state.jobs[claim[0]][1:3] == ("running", claim[1])
    ]
    if len(newest) != len(set(newest)):
        return "two workers hold the newest claim of a job"
    if any(job.crashes > MAX_CRASHES for job in state.jobs):
        return "a job crashes on and on"
    return ""


def _is_end(state: State, poison: tuple[bool, ...]) -> bool:
    return len(state.jobs) >= len(poison) and all(job.state in FINAL for job in state.jobs)


def _leading_to(ends: list[Place], before: dict[Place, list[Place]]) -> set[Place]:
    found, queue = set(ends), deque(ends)
    while queue:
        for place in before.get(queue.popleft(), ()):
            if place not in found:
                found.add(place)
                queue.append(place)
    return found


def _trace(came: dict[Place, tuple[Place, str] | None], place: Place) -> tuple[tuple[str, State], ...]:
    way = []
    while (step := came[place]) is not None:
        way.append((step[1], place[0]))
        place = step[0]
    return tuple(reversed(way))


def _told(state: State) -> str:
    jobs = ", ".join(job.state for job in state.jobs)
    hands = "; ".join(_hands(node) for node in state.nodes)
    return f"jobs {jobs}; workers {hands}{'; a bell' if state.bell else ''}"


def _hands(node: Node) -> str:
    held = ", ".join(f"job {number}{'' if is_newest else ' (stale)'}" for number, is_newest in node.held) or "nothing"
    how = "" if node.up else "dead, "
    return f"{how}{'frozen, ' if node.frozen else ''}{'' if node.leased else 'without lease, '}with {held}"

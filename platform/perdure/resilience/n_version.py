"""A call of several versions of one function, whose majority decides: for a plain service what replicas are for a job.

N-version programming (Avizienis 1985, *The N-version approach to fault-tolerant software*): versions that were written,
trained or hosted apart fail apart, so with n of them up to (n - 1) // 2 may fail, hang or lie. The decision is
:func:`perdure.model.replication.majority`, as for replicas.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from typing import Any, Generic, ParamSpec, TypeVar

from msgspec import Struct

from perdure.errors import SettingsError
from perdure.model.replication import Answer, NoQuorum, Verdict, VerdictKind, canonical, majority, more_than_half
from perdure.model.worker_health import is_barred
from perdure.resilience.config_checks import check_numbers
from perdure.resilience.listeners import Listeners
from perdure.resilience.service.deadline import capped
from perdure.system.fork_locks import fork_lock

P = ParamSpec("P")
R = TypeVar("R")


class VoteConfig(Struct, frozen=True):
    """How a vote is held.

    Args:
        timeout: seconds that the versions have to answer; those that are late have no vote.
        max_outvoted: votes that a version may lose before it is asked no more; None for any number.
    """

    timeout: float = 5.0
    max_outvoted: int | None = None

    def __post_init__(self) -> None:
        check_numbers("vote", self, above_zero=("timeout",), from_one=("max_outvoted",))


class Outvoted(Struct, frozen=True):
    """A version gave another result than the majority: ``times`` so far; it is asked no more when ``barred``."""

    name: str
    version: str
    times: int
    barred: bool


class VoteSnapshot(Struct, frozen=True):
    """Votes that each version has lost since it was trusted, and which are barred for it."""

    name: str
    outvoted: Mapping[str, int]
    barred: tuple[str, ...]


class NVersion(Generic[P, R]):
    """Calls all versions side by side and returns the result that more than half of them gave. Thread-safe.

    Args:
        name: how errors and events call it.
        versions: the functions by name; for :meth:`call_async` coroutine functions as well.
        config: how the vote is held.
        compare: makes of a result what is compared, as JSON has it; by default the result itself.

    Raises:
        SettingsError: there is no version.
    """

    def __init__(
        self,
        name: str,
        versions: Mapping[str, Callable[P, Any]],
        config: VoteConfig | None = None,
        *,
        compare: Callable[[R], Any] = lambda result: result,
    ) -> None:
        if not versions:
            raise SettingsError(f"vote {name!r} has no versions; give it three or more, so that one may fail")
        self.name, self.config = name, config or VoteConfig()
        self._versions, self._compare = dict(versions), compare
        self._lock = fork_lock()
        self._outvoted = dict.fromkeys(versions, 0)
        self._listeners: Listeners[Outvoted] = Listeners()

    def call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the majority's result as soon as there is one; each version runs in a thread of its own.

        A thread cannot be stopped: a version that is late goes on, and is told of when it disagrees.

        Raises:
            NoQuorum: no majority of all versions agrees within the timeout; the message names who failed and how.
        """
        ballot = self._ballot()
        for version in ballot.asked:
            work = (self._answer, ballot, version, args, kwargs)
            name = f"perdure-vote-{version}"
            threading.Thread(target=copy_context().run, args=work, name=name, daemon=True).start()
        ballot.decided.wait(capped(self.config.timeout))
        return self._result(ballot)

    async def call_async(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the majority's result as :meth:`call` does; coroutine functions run in this loop, others in threads.

        Coroutines that are late are cancelled.

        Raises:
            NoQuorum: no majority of all versions agrees within the timeout; the message names who failed and how.
        """
        ballot = self._ballot()
        tasks = {
            asyncio.create_task(self._answer_async(ballot, version, args, kwargs), name=f"perdure-vote-{version}")
            for version in ballot.asked
        }
        try:
            async with asyncio.timeout(capped(self.config.timeout)):
                for answered in asyncio.as_completed(tasks):
                    await answered
                    if ballot.decided.is_set():
                        break
        except TimeoutError:
            pass
        finally:
            for task in tasks:
                task.cancel()
        return self._result(ballot)

    def trust(self, version: str) -> None:
        """Ask a version again, and forget the votes that it has lost.

        Raises:
            KeyError: there is no such version.
        """
        with self._lock:
            if version not in self._outvoted:
                raise KeyError(f"vote {self.name!r} has no version {version!r}: {', '.join(self._outvoted)}")
            self._outvoted[version] = 0

    def snapshot(self) -> VoteSnapshot:
        """Return which versions have lost votes in this process."""
        with self._lock:
            outvoted = dict(self._outvoted)
        return VoteSnapshot(self.name, outvoted, tuple(sorted(self._barred())))

    def listen(self, listener: Callable[[Outvoted], None]) -> Callable[[], None]:
        """Call ``listener`` with each version that is outvoted; returns a function that unsubscribes."""
        return self._listeners.add(listener)

    def _barred(self) -> set[str]:
        with self._lock:
            return {each for each, times in self._outvoted.items() if is_barred(times, self.config.max_outvoted)}

    def _ballot(self) -> _Ballot:
        return _Ballot(list(self._versions), self._barred(), self._tell)

    def _answer(self, ballot: _Ballot, version: str, args: Any, kwargs: Any) -> None:
        try:
            result = self._versions[version](*args, **kwargs)
            if inspect.isawaitable(result):
                result = asyncio.run(_awaited(result))
            compared = self._compare(result)
            canonical(compared)
        except BaseException as error:  # noqa: BLE001 - whatever a version raises is its answer
            ballot.add(version, Answer(error=f"{type(error).__name__}: {error}"), None)
        else:
            ballot.add(version, Answer(compared), result)

    async def _answer_async(self, ballot: _Ballot, version: str, args: Any, kwargs: Any) -> None:
        function = self._versions[version]
        if not inspect.iscoroutinefunction(function):
            await asyncio.to_thread(self._answer, ballot, version, args, kwargs)
            return
        try:
            result = await function(*args, **kwargs)
            compared = self._compare(result)
            canonical(compared)
        except Exception as error:  # noqa: BLE001 - as above; a cancelled one has no answer
            ballot.add(version, Answer(error=f"{type(error).__name__}: {error}"), None)
        else:
            ballot.add(version, Answer(compared), result)

    def _result(self, ballot: _Ballot) -> R:
        verdict, answers = ballot.close()
        if verdict.kind is VerdictKind.MAJORITY:
            result: R = ballot.results[verdict.agreeing[0]]
            return result
        why = {version: "no answer in time" for version in self._versions if version not in answers}
        why |= {version: answer.error for version, answer in answers.items() if answer.error is not None}
        why |= dict.fromkeys(verdict.disagreeing, "another result than the others")
        told = "; ".join(f"{version}: {reason}" for version, reason in sorted(why.items()))
        needed = more_than_half(len(self._versions))
        raise NoQuorum(f"vote {self.name!r}: no {needed} of {len(self._versions)} versions agree ({told})")

    def _tell(self, version: str) -> None:
        with self._lock:
            self._outvoted[version] += 1
            times = self._outvoted[version]
        barred = is_barred(times, self.config.max_outvoted)
        self._listeners.emit(Outvoted(self.name, version, times, barred))


class _Ballot:
    """The answers of one call.

    Args:
        versions: All versions.
        barred: Those that are not asked; they count as failed.
        outvoted: Called with each that gave another result than the majority, once.
    """

    def __init__(self, versions: Sequence[str], barred: Collection[str], outvoted: Callable[[str], None]) -> None:
        self._n, self._tell = len(versions), outvoted
        self.asked = [version for version in versions if version not in barred]
        self._lock = fork_lock()
        self._answers = {version: Answer(error="barred") for version in barred}
        self._told: set[str] = set()
        self.results: dict[str, Any] = {}
        #: Set when there is a majority, or can be none.
        self.decided = threading.Event()

    def add(self, version: str, answer: Answer, result: Any) -> None:
        """Count an answer, also one that comes when all is decided."""
        with self._lock:
            self._answers[version], self.results[version] = answer, result
            verdict = majority(self._answers, self._n)
            outvoted = set(verdict.disagreeing) - self._told if verdict.kind is VerdictKind.MAJORITY else set()
            self._told |= outvoted
        for each in sorted(outvoted):
            self._tell(each)
        if verdict.kind is not VerdictKind.UNDECIDED:
            self.decided.set()

    def close(self) -> tuple[Verdict, Mapping[str, Answer]]:
        """Return what the answers say so far."""
        with self._lock:
            return majority(self._answers, self._n), dict(self._answers)


async def _awaited(result: Any) -> Any:
    return await result

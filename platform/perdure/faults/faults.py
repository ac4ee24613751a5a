"""``app.faults``: switching injected faults on and off in all processes of an application."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from perdure.errors import FaultsInjected, FaultsNotAllowed, InvalidFault, did_you_mean
from perdure.faults.injector import FaultEvent, Injector
from perdure.faults.shared_faults import SharedFaults
from perdure.model.faults.fault import Fault, fault_of
from perdure.model.faults.places import let_act
from perdure.model.jitter import JITTER
from perdure.resilience.listeners import Listeners
from perdure.resilience.redis.link import SharedStateUnavailable
from perdure.system.who import whoami

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger("perdure.faults")

#: Returns the names that there are, by kind of target, of those kinds whose names are known.
Names = Callable[[], Mapping[str, Collection[str]]]
#: That of the application by which faults act in this process.
_here: Faults | None = None


class Faults:
    """The injected faults of an application.

    They act in each process whose settings allow them, and end by themselves. While Redis is away a process goes on with
    those that it knew, and keeps what it adds for itself.

    Args:
        redis: A client or a URL.
        prefix: Begins the key in Redis.
        allowed: Whether the settings allow faults in this process.
        names: Returns the names of tasks and the like.
    """

    def __init__(self, redis: Redis | str, prefix: str, *, allowed: bool, names: Names) -> None:
        self._allowed, self._names = allowed, names
        self._events: Listeners[FaultEvent] = Listeners()
        self._shared = SharedFaults(redis, prefix)
        self._injector = Injector(self._shared, self._events)

    def add(self, kind: str, target: str, **options: Any) -> Fault:
        """Switch a fault on in all processes; within a second they know.

        Args:
            kind: What it does: ``latency``, ``error``, ``exception``, ``hang``, ``wrong_result``, ``slow_checkpoint``,
                ``failing_checkpoint``, ``broken_store`` or ``lost_answer``.
            target: To what: ``service:NAME``, ``task:NAME``, ``bulkhead:NAME``, ``duty:NAME`` or ``store:NAME``.
            options: ``seconds`` (60; 3600 at most), ``probability``, ``delay`` in seconds, ``exception``, ``result``,
                ``at``, ``seed`` and ``owner``; see :func:`~perdure.model.faults.fault.fault_of`.

        Returns:
            The fault. While Redis is away it acts in this process alone, and its ``shared`` is False.

        Raises:
            FaultsNotAllowed: The settings do not allow any.
            InvalidFault: It cannot be; the message says what can.
        """
        self._check_allowed()
        try:
            now, _ = self._shared.read()
            fault = self._made(now, kind, target, options)
            self._shared.add(fault)
            self._injector.look(now=True)
        except SharedStateUnavailable as error:
            logger.warning("%s: the fault acts in this process alone", error)
            return self.add_here(kind, target, **options)
        return fault

    def add_here(self, kind: str, target: str, **options: Any) -> Fault:
        """Switch a fault on in this process alone; as :meth:`add`."""
        self._check_allowed()
        fault = replace(self._made(time.time(), kind, target, options), shared=False)
        self._injector.add(fault)
        return fault

    def list(self) -> Sequence[Fault]:
        """Return the faults that are on: those of all processes, and those of this one alone."""
        try:
            _, shared = self._shared.read()
        except SharedStateUnavailable:
            return self._injector.on()
        return [*shared, *(each for each in self._injector.on() if not each.shared)]

    def clear(self, *ids: str) -> Sequence[Fault]:
        """Switch faults off and return them.

        Args:
            ids: Their ids; all faults without any.

        Raises:
            InvalidFault: One of them is not on.
            SharedStateUnavailable: Redis does not answer, so others cannot be told.
        """
        on = {fault.id: fault for fault in self.list()}
        if unknown := [each for each in ids if each not in on]:
            raise InvalidFault(f"no injected fault {', '.join(unknown)} is on.{did_you_mean(unknown[0], on)}")
        gone = [on[each] for each in ids or on]
        for fault in gone:
            self.end(fault)
        return gone

    def end(self, fault: Fault) -> None:
        """Switch one off; it is no error when it is over.

        Raises:
            SharedStateUnavailable: As :meth:`clear`.
        """
        if fault.shared:
            self._shared.remove(fault.id)
        self._injector.remove(fault.id)

    def listen(self, listener: Callable[[FaultEvent], None]) -> Callable[[], None]:
        """Call ``listener`` with each fault that begins, strikes or ends here; returns a function that unsubscribes."""
        return self._events.add(listener)

    def check(self) -> str:
        """Check that no fault is on.

        Raises:
            FaultsInjected: Some are; the message names them.
        """
        if on := self.list():
            now = time.time()
            raise FaultsInjected("; ".join(f"{each} for {max(0.0, each.ends_at - now):.0f} s more" for each in on))
        return "none"

    def let_act(self) -> None:
        """Have them act in this process, which no other application's do from now on."""
        global _here
        _here = self
        let_act(self._injector)

    def stop(self) -> None:
        """Have none of them act in this process any more."""
        global _here
        if _here is self:
            _here = None
            let_act(None)

    def _made(self, now: float, kind: str, target: str, options: Mapping[str, Any]) -> Fault:
        own = {"id": f"f-{JITTER.getrandbits(32):08x}", "owner": whoami(), "seed": JITTER.randrange(2**32)}
        given = {name: value for name, value in options.items() if value is not None}
        fault = fault_of(kind, target, **{**own, **given, "now": now})
        what, _, name = target.partition(":")
        known = self._names().get(what)
        if known is not None and name not in known:
            raise InvalidFault(f"there is no {what} {name!r}.{did_you_mean(name, known)} Known: {', '.join(sorted(known))}")
        return fault

    def _check_allowed(self) -> None:
        if not self._allowed:
            raise FaultsNotAllowed(
                "faults are not allowed here: set faults_allowed (PERDURE_FAULTS_ALLOWED=1) in each process that they "
                "are to act in, never in one whose users must not notice"
            )


def of_this_process() -> Faults:
    """Return what faults act by in this process.

    Raises:
        FaultsNotAllowed: No application that allows them has been made here.
    """
    if _here is None:
        raise FaultsNotAllowed("faults are injected by an application that allows them: Perdure(faults_allowed=True)")
    return _here

"""Heartbeats of a service's own nodes: who beats lives, who is silent is suspected and then failed, and hooks are told.

Workers are watched in the same way through the ledger; the decision is the same one
(:func:`perdure.model.worker_health.judge`). Here beats are in Redis, on its clock, and any number of processes may watch:
one of them tells of each change.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct
from redis import Redis

from perdure.model.worker_health import WorkerState, judge
from perdure.resilience.config_checks import check_numbers
from perdure.resilience.redis.keys import DEFAULT_PREFIX, heartbeat_key
from perdure.resilience.redis.link import RedisLink, SharedStateUnavailable
from perdure.resilience.redis.lua_scripts import text
from perdure.resilience.watcher import Watcher

log = logging.getLogger("perdure.resilience")

FORGET_AFTER_MS = 7 * 86_400 * 1000
"""A group none of whose nodes beats is forgotten after a week."""


class HeartbeatConfig(Struct, frozen=True):
    """How nodes are watched.

    Args:
        interval: seconds from one beat to the next, and from one look to the next.
        missed: beats that a node may miss before it has failed; after two fifths of them it is suspected.
    """

    interval: float = 1.0
    missed: int = 5

    def __post_init__(self) -> None:
        check_numbers("heartbeat", self, above_zero=("interval",), from_one=("missed",))

    @property
    def lease(self) -> float:
        """Seconds of silence after which a node has failed."""
        return self.interval * self.missed


class NodeEvent(Struct, frozen=True):
    """A node went from one state to another (``healthy``, ``suspect``, ``failed``), after so many seconds of silence."""

    group: str
    node: str
    source: str | None
    target: str
    silence: float

    @property
    def is_failure(self) -> bool:
        """Whether the node was found dead."""
        return self.target == WorkerState.FAILED

    @property
    def is_recovery(self) -> bool:
        """Whether a node that had failed is back."""
        return self.target == WorkerState.HEALTHY and self.source == WorkerState.FAILED


class NodeStatus(Struct, frozen=True):
    """What is known of a node; ``silence`` in seconds."""

    node: str
    state: str
    silence: float


Hook = TypeVar("Hook", bound=Callable[[NodeEvent], Any])


class HeartbeatMonitor:
    """The nodes of one group: beat for your own, watch the others, be told. Thread-safe.

    Nobody is judged while Redis is away, nor before a lease is over after that.

    Args:
        redis: a client or a URL.
        group: the group of nodes.
        config: how they are watched; the same for all.
        prefix: begins each key in Redis.
    """

    def __init__(
        self, redis: Redis | str, group: str, config: HeartbeatConfig | None = None, *, prefix: str = DEFAULT_PREFIX
    ) -> None:
        self.group, self.config = group, config or HeartbeatConfig()
        self._link = RedisLink(redis, what=f"heartbeats {group!r}", on_restored=self._give_time)
        #: From when on, on the monotonic clock, silence counts.
        self._judges_from = 0.0
        key = heartbeat_key(group, prefix)
        self._keys = [key, f"{key}:states"]
        self._kinds = dict.fromkeys(self._keys, "hash")
        self._hooks: list[tuple[Callable[[NodeEvent], bool], Callable[[NodeEvent], Any]]] = []
        self._watcher = Watcher(f"perdure-watch-{group}", self._watch)

    def on_node_failure(self, hook: Hook) -> Hook:
        """Call a function, or a coroutine function, with the event of each node that is found dead; a decorator.

        It is called at most once for each failure, in the process that found it out.
        """
        self._hooks.append((lambda event: event.is_failure, hook))
        return hook

    def on_node_recovery(self, hook: Hook) -> Hook:
        """Call a function, or a coroutine function, with the event of each node that is back; a decorator."""
        self._hooks.append((lambda event: event.is_recovery, hook))
        return hook

    def beat(self, node: str) -> None:
        """Say that a node lives; at least each ``interval``.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        self._run("heartbeat_beat", self._keys[:1], node, FORGET_AFTER_MS)

    def leave(self, node: str) -> None:
        """Say goodbye: the node ends as it should, and nobody is told of a failure.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        for key in self._keys:
            self._link.run(partial(self._link.client.hdel, key, node), self._kinds)

    @contextmanager
    def beating(self, node: str) -> Iterator[None]:
        """Beat for a node from a thread while the block runs, and say goodbye at its end, unless it raises."""
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                with suppress(SharedStateUnavailable):  # which the link has logged; the next beat may get through
                    self.beat(node)
                stop.wait(self.config.interval)

        thread = threading.Thread(target=run, name=f"perdure-beat-{node}", daemon=True)
        thread.start()
        try:
            yield
            stop.set()
            thread.join()
            with suppress(SharedStateUnavailable):
                self.leave(node)
        finally:
            stop.set()

    @asynccontextmanager
    async def beating_async(self, node: str) -> AsyncIterator[None]:
        """Beat for a node from this event loop, so that a loop that hangs is found dead; else as :meth:`beating`."""

        async def run() -> None:
            while True:
                with suppress(SharedStateUnavailable):
                    await asyncio.to_thread(self.beat, node)
                await asyncio.sleep(self.config.interval)

        task = asyncio.create_task(run(), name=f"perdure-beat-{node}")
        try:
            yield
            task.cancel()
            await asyncio.wait([task])
            with suppress(SharedStateUnavailable):
                await asyncio.to_thread(self.leave, node)
        finally:
            task.cancel()

    def nodes(self) -> list[NodeStatus]:
        """Return the nodes by name, judged at this moment.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        return [NodeStatus(node, found, silence) for node, _, found, silence, _ in self._judged()]

    def check(self) -> list[NodeEvent]:
        """Look at all nodes once and call hooks; returns the changes that this process found.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        events = self._changes()
        for event in events:
            for result in self._tell(event):
                if inspect.isawaitable(result):
                    with _logged(event):
                        asyncio.run(_awaited(result))
        return events

    async def check_async(self) -> list[NodeEvent]:
        """Look at all nodes once as :meth:`check` does; coroutine functions among the hooks run in this loop.

        Raises:
            SharedStateUnavailable: Redis does not answer.
        """
        events = await asyncio.to_thread(self._changes)
        for event in events:
            for result in self._tell(event):
                if inspect.isawaitable(result):
                    with _logged(event):
                        await result
        return events

    def start(self) -> None:
        """Watch from a daemon thread, until :meth:`stop`."""
        self._watcher.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Stop that thread; a hook that is running is waited for ``timeout`` seconds."""
        self._watcher.stop(timeout)

    async def watch(self) -> None:
        """Watch from this event loop, until cancelled."""
        while True:
            with suppress(SharedStateUnavailable):
                await self.check_async()
            await asyncio.sleep(self.config.interval)

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(self.config.interval):
            try:
                self.check()
            except SharedStateUnavailable:
                continue
            except Exception:
                log.exception("heartbeats %r: looking at the nodes failed and goes on", self.group)

    def _judged(self) -> list[tuple[str, str | None, WorkerState, float, str]]:
        """Return each node's name, its state so far, its state now, its silence and its last beat."""
        now, beats, states = self._run("heartbeat_read", self._keys)
        known = dict(zip(map(text, states[::2]), map(text, states[1::2]), strict=True))
        found = []
        for node, beat in sorted(zip(map(text, beats[::2]), map(text, beats[1::2]), strict=True)):
            silence = (int(now) - int(beat)) / 1000
            found.append((node, known.get(node), judge(WorkerState.HEALTHY, silence, self.config.lease), silence, beat))
        return found

    def _changes(self) -> list[NodeEvent]:
        events = []
        for node, before, found, silence, beat in self._judged():
            if found == (before or WorkerState.HEALTHY):
                continue
            if before == WorkerState.FAILED and found is WorkerState.SUSPECT:
                continue  # it beat once and not again: it is not back
            if found is not WorkerState.HEALTHY and time.monotonic() < self._judges_from:
                continue
            if self._run("heartbeat_change", self._keys, node, before or "", beat, found.value, FORGET_AFTER_MS):
                events.append(NodeEvent(self.group, node, before, found.value, silence))
        return events

    def _give_time(self) -> None:
        """Give nodes the time of a lease to beat again: nobody could while Redis was away."""
        self._judges_from = time.monotonic() + self.config.lease

    def _tell(self, event: NodeEvent) -> Iterator[Any]:
        log.log(
            logging.WARNING if event.is_failure else logging.INFO,
            "node %s of %s: %s -> %s after %.1f s of silence",
            event.node,
            event.group,
            event.source or "healthy",
            event.target,
            event.silence,
        )
        for wants, hook in self._hooks:
            if wants(event):
                with _logged(event):
                    yield hook(event)

    def _run(self, script: str, keys: list[str], *args: str | int) -> Any:
        return self._link.run(lambda: self._link.scripts.run(script, keys, args), self._kinds)


@contextmanager
def _logged(event: NodeEvent) -> Iterator[None]:
    """Keep a hook that fails from the others."""
    try:
        yield
    except Exception:
        log.exception("a hook failed on %s", event)


async def _awaited(result: Any) -> Any:
    return await result

"""A TCP proxy that is a bad network: latency, stalls, partitions (also one-way), half-open and cut connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from perdure.system.ports import LOOPBACK

#: From clients to the server, and back.
Way = Literal["up", "down"]
#: The ends of a connection.
End = Literal["client", "server"]
#: Bytes that are carried at once.
PIECE = 65536


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the network does.

    Attributes:
        latency: Seconds by which each piece is late.
        held: Ways on which bytes wait until the conditions end; then they arrive.
        lost: Ways on which bytes vanish. A connection that has lost some is reset when the conditions end.
        old_only: Whether only connections that were open before are concerned, as by a firewall that forgot them.
        refused: Whether new connections are reset at once.
        cut: Whether all open connections are reset when the conditions begin.
        gone: The end of all open connections that is gone when the conditions begin. The other end never learns of it, not
            even when they are over: what it sends is taken, as by a router that answers for a host, and nobody hears it.
    """

    latency: float = 0.0
    held: tuple[Way, ...] = ()
    lost: tuple[Way, ...] = ()
    old_only: bool = False
    refused: bool = False
    cut: bool = False
    gone: End | None = None


FINE = Conditions()


@dataclass(eq=False, slots=True)
class _Connection:
    """One client's connection, and the proxy's own to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_old: bool = False
    has_lost: bool = False
    is_half_open: bool = False

    def lose(self, end: End) -> None:
        """End one side; the other one stays as it is."""
        self.is_half_open = True
        (self.client if end == "client" else self.server).transport.abort()

    def reset(self) -> None:
        """End both sides at once, as a host does that does not know the connection."""
        self.client.transport.abort()
        self.server.transport.abort()


@dataclass(slots=True)
class Proxy:
    """Carries TCP from a port of its own to a server, in a thread of its own.

    Args:
        target: The server's port on the loopback interface; :meth:`aim` changes it.
    """

    target: int
    port: int = 0
    conditions: Conditions = FINE
    _connections: set[_Connection] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _thread: threading.Thread | None = None
    _server: asyncio.Server | None = None

    def start(self) -> Self:
        """Listen, on a free port."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy", daemon=True)
        self._thread.start()
        self._do(self._listen())
        return self

    def impose(self, conditions: Conditions) -> None:
        """Have the network behave so from now on; ``FINE`` ends whatever was."""
        self._do(self._impose(conditions))

    def aim(self, target: int) -> None:
        """Lead new connections to another port, and reset those that are open."""
        self.target = target
        self.impose(Conditions(cut=True))

    def close(self) -> None:
        """End the proxy and all its connections."""
        if self._thread is not None:
            self._do(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._thread = None

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _impose(self, conditions: Conditions) -> None:
        self.conditions = conditions
        for connection in list(self._connections):
            connection.is_old = True
            if conditions.cut or connection.has_lost:
                connection.reset()
            elif conditions.gone and not connection.is_half_open:
                connection.lose(conditions.gone)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._impose(Conditions(cut=True, refused=True))
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.conditions.refused:
            to_client.transport.abort()
            return
        try:
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:  # nobody listens there: the client learns it so
            to_client.transport.abort()
            return
        connection = _Connection(to_client, to_server)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._carry(connection, from_client, to_server, "up"),
                self._carry(connection, from_server, to_client, "down"),
            )
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _carry(
        self, connection: _Connection, source: asyncio.StreamReader, target: asyncio.StreamWriter, way: Way
    ) -> None:
        with suppress(OSError):
            while True:
                piece = await source.read(PIECE)
                if connection.is_half_open:
                    break
                if not await self._passes(connection, way):
                    if not piece:
                        return  # the other side does not hear of the end either
                    continue
                if not piece:
                    break
                target.write(piece)
                await target.drain()
        if connection.is_half_open:
            await _unheard(source)
        else:
            connection.reset()

    async def _passes(self, connection: _Connection, way: Way) -> bool:
        """Wait as long as the network holds a piece up, and tell whether it arrives."""
        if latency := self.conditions.latency:
            await asyncio.sleep(latency)
        while way in self._for(connection).held:
            await self._changed.wait()
        lost = way in self._for(connection).lost
        connection.has_lost |= lost
        return not lost

    def _for(self, connection: _Connection) -> Conditions:
        return FINE if self.conditions.old_only and not connection.is_old else self.conditions


async def _unheard(source: asyncio.StreamReader) -> None:
    """Take what one end of a half-open connection still sends, until it gives up."""
    with suppress(OSError):
        while await source.read(PIECE):
            pass

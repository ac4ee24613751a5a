"""Nobody fills the server up before signing in: real sockets, and a server whose times are short."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from perdure_workers.flower import bounds
from perdure_workers.flower.bounds import BoundedServer, PatientSocket
from support.waiting import wait_until

SHORT = 0.3


class Echo(RequestHandler):
    def get(self) -> None:
        self.write("here")

    def post(self) -> None:
        self.write(str(len(self.request.body)))


@dataclass
class Running:
    port: int
    server: BoundedServer

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def get(self) -> bytes:
        with self.connect() as one:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return all_of(one)


def all_of(one: socket.socket) -> bytes:
    """Read until the server closes."""
    received = b""
    try:
        while part := one.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Running]]:
    monkeypatch.setattr(bounds, "HEADER_TIMEOUT", SHORT)
    monkeypatch.setattr(bounds, "BODY_TIMEOUT", SHORT)
    monkeypatch.setattr(bounds, "PAUSE", 0.05)
    loops: list[asyncio.AbstractEventLoop] = []

    def start() -> Running:
        ready: list[Running] = []
        is_ready = threading.Event()

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            [listening] = bind_sockets(0, "127.0.0.1", socket.AF_INET)
            port = listening.getsockname()[1]
            server = BoundedServer(Application([("/", Echo)]))
            server.add_sockets([listening])
            ready.append(Running(port, server))
            is_ready.set()
            await asyncio.Event().wait()

        def run() -> None:
            with pytest.raises(asyncio.CancelledError):
                asyncio.run(serve())

        threading.Thread(target=run, daemon=True).start()
        assert is_ready.wait(30)
        return ready[0]

    yield start
    for loop in loops:
        loop.call_soon_threadsafe(lambda loop=loop: [task.cancel() for task in asyncio.all_tasks(loop)])


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_who_says_nothing_or_half_of_it_is_closed(started: Callable[[], Running], sent: bytes) -> None:
    with started().connect() as one:
        one.sendall(sent)
        received = all_of(one)  # which ends only when the server closes
    assert received == b"" or b"here" in received


def test_a_body_that_does_not_come_is_not_waited_for(started: Callable[[], Running]) -> None:
    with started().connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert b"200" not in all_of(one)


def test_a_large_body_is_refused_before_it_is_read(started: Callable[[], Running]) -> None:
    running = started()
    with running.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 95000000\r\n\r\n" + b"x" * 100_000)
        assert b"200" not in all_of(one)
    with running.connect() as one:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {bounds.MOST_BODY_BYTES}\r\n\r\n"
        one.sendall(head.encode() + b"x" * bounds.MOST_BODY_BYTES)
        assert str(bounds.MOST_BODY_BYTES).encode() in all_of(one)


def test_connections_that_are_too_many_are_closed_and_the_others_go_on(
    started: Callable[[], Running], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bounds, "HEADER_TIMEOUT", 60.0)
    monkeypatch.setattr(bounds, "most_connections", lambda: 3)
    running = started()
    held = [running.connect() for _ in range(3)]
    wait_until(lambda: len(running.server._connections) == 3, 30)
    with caplog.at_level(logging.WARNING, "perdure.flower"):
        for _ in range(20):
            with running.connect() as one:
                assert all_of(one) == b""
    assert len([record for record in caplog.records if "connections are open" in record.message]) == 1
    held[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"here" in all_of(held[0])
    wait_until(lambda: b"here" in running.get(), 30)
    for one in held:
        one.close()


def test_a_shortage_of_files_is_waited_out_without_a_flood(
    started: Callable[[], Running], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    short, real = [True], socket.socket.accept

    def accept(self: socket.socket) -> Any:
        if short[0] and isinstance(self, PatientSocket):
            raise OSError(errno.EMFILE, "Too many open files")
        return real(self)

    running = started()
    monkeypatch.setattr(socket.socket, "accept", accept)
    with caplog.at_level(logging.WARNING), running.connect() as one:
        wait_until(lambda: len(caplog.records) >= 3, 30)
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        short[0] = False
        assert b"here" in all_of(one)
    assert {record.name for record in caplog.records} == {"perdure.flower"}
    assert len(caplog.records) < 100
    assert b"here" in running.get()


def test_fewer_connections_are_taken_where_few_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((1024, 896), (200, 72), (64, 16), (10**6, bounds.MOST_CONNECTIONS)):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, files=files: (files, files))
        assert bounds.most_connections() == most

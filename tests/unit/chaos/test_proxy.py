"""The lab's bad network: what it holds up, loses, refuses and cuts, and that it is fine again afterwards."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from perdure_workers.chaos.proxy import FINE, Conditions, End, Proxy

pytestmark = pytest.mark.slow

#: Seconds after which nothing that was sent comes back.
SILENCE = 0.2
PATIENCE = 20.0


class Echo(socketserver.BaseRequestHandler):
    #: The server's ends of the connections.
    ends: ClassVar[list[socket.socket]] = []

    def handle(self) -> None:
        self.ends.append(self.request)
        while data := self.request.recv(100):
            self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    socketserver.ThreadingTCPServer.daemon_threads = True
    Echo.ends.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        carrying = Proxy(server.server_address[1]).start()
        yield carrying
        carrying.close()
        server.shutdown()


def connected(proxy: Proxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    assert asked(client, b"hello") == b"hello"
    return client


def asked(client: socket.socket, text: bytes, patience: float = PATIENCE) -> bytes | None:
    """Send and return the answer: None for silence, empty when the connection is gone."""
    try:
        client.settimeout(patience)
        client.sendall(text)
        return client.recv(100)
    except TimeoutError:
        return None
    except OSError:
        return b""


def test_what_is_held_arrives_later(proxy: Proxy) -> None:
    client = connected(proxy)
    proxy.impose(Conditions(held=("up",)))
    assert asked(client, b"late", SILENCE) is None
    proxy.impose(FINE)
    client.settimeout(PATIENCE)
    assert client.recv(100) == b"late"


def test_a_connection_that_lost_something_ends_with_the_partition(proxy: Proxy) -> None:
    client = connected(proxy)
    proxy.impose(Conditions(lost=("down",)))
    assert asked(client, b"gone", SILENCE) is None
    proxy.impose(FINE)
    assert asked(client, b"again") == b""
    assert connected(proxy)


def test_half_open_connections_are_silent_and_new_ones_are_not(proxy: Proxy) -> None:
    client = connected(proxy)
    proxy.impose(Conditions(lost=("up", "down"), old_only=True))
    assert asked(client, b"gone", SILENCE) is None
    assert connected(proxy)


@pytest.mark.parametrize("end", ["client", "server"])
def test_one_end_is_gone_and_the_other_never_learns(proxy: Proxy, end: End) -> None:
    client = connected(proxy)
    [server] = Echo.ends
    proxy.impose(Conditions(gone=end))
    learns, stays = (client, server) if end == "client" else (server, client)
    assert asked(learns, b"hello") == b""
    proxy.impose(FINE)
    assert asked(stays, b"hello", SILENCE) is None
    assert connected(proxy)


def test_cut_and_refused(proxy: Proxy) -> None:
    client = connected(proxy)
    proxy.impose(Conditions(cut=True, refused=True))
    assert asked(client, b"cut") == b""
    with pytest.raises((OSError, AssertionError)):
        connected(proxy)
    proxy.impose(FINE)
    assert connected(proxy)


def test_latency_is_added(proxy: Proxy) -> None:
    client = connected(proxy)
    proxy.impose(Conditions(latency=SILENCE))
    assert asked(client, b"slow", SILENCE / 2) is None  # there and back takes twice the latency
    client.settimeout(PATIENCE)
    assert client.recv(100) == b"slow"

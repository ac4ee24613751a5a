"""A TCP relay that a test can have cut connections: after so many bytes, or all at once."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cutter:
    """Relays TCP from a port of its own to another one.

    Args:
        port: Where to relay to, on the loopback interface.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: Bytes that clients may still send before their connection is cut in the middle of what they send; None: any.
        self.bytes_left: int | None = None
        self.cuts = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End the relay and all its connections."""
        for one in [self._listener, *self._open]:
            _end(one)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                threading.Thread(target=self._relay, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._relay, args=(server, client, False), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, limited: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if limited and self.bytes_left is not None:
                    kept, self.bytes_left = data[: self.bytes_left], max(0, self.bytes_left - len(data))
                    target.sendall(kept)
                    if len(kept) < len(data):
                        self.cuts += 1
                        break
                else:
                    target.sendall(data)
        _end(source)
        _end(target)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()

"""An HTTP server that nobody can fill up before signing in: bounded in time, connections and bytes."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from collections.abc import Callable, Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.netutil import add_accept_handler

logger = logging.getLogger("perdure.flower")

#: Seconds that a connection may take to send its headers, idle time before them included, and then its body.
HEADER_TIMEOUT, BODY_TIMEOUT = 30.0, 30.0
#: Bytes of a request's headers and of its body: edited arguments of a job fit in with room to spare.
MOST_HEADER_BYTES, MOST_BODY_BYTES = 32 * 1024, 2 * 1024 * 1024
#: Connections at once; fewer where the process may not open many files. The rest is for databases, Redis and the log.
MOST_CONNECTIONS, FILES_FOR_OTHERS = 1_000, 128
#: Seconds without accepting when files have run out all the same.
PAUSE = 1.0
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class BoundedServer(HTTPServer):
    """Closes connections that are too many at once, and waits when files run out instead of filling the log."""

    def initialize(self, application: Any, *, ssl_options: Any = None, xheaders: bool = False) -> None:  # type: ignore[override]
        """Serve an application within this server's bounds."""
        super().initialize(
            application,
            ssl_options=ssl_options,
            xheaders=xheaders,
            idle_connection_timeout=HEADER_TIMEOUT,
            body_timeout=BODY_TIMEOUT,
            max_header_size=MOST_HEADER_BYTES,
            max_body_size=MOST_BODY_BYTES,
            max_buffer_size=MOST_BODY_BYTES + MOST_HEADER_BYTES,
        )
        self._most = most_connections()
        self._is_full = False

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a connection, or close it when there are too many."""
        full = len(self._connections) >= self._most
        if full and not self._is_full:
            logger.warning("%d connections are open: more are closed at once", self._most)
        self._is_full = full
        if full:
            stream.close()
        else:
            super().handle_stream(stream, address)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on sockets, which the server owns from now on."""
        for one in sockets:
            patient = PatientSocket(fileno=one.detach())
            patient.settimeout(0)
            self._sockets[patient.fileno()] = patient
            self._accept(patient)

    def _accept(self, patient: PatientSocket) -> None:
        if patient.fileno() < 0:
            return  # it was closed during a pause
        stop = add_accept_handler(patient, self._handle_connection)
        self._handlers[patient.fileno()] = stop

        def pause(error: OSError) -> None:
            logger.warning("no connection is accepted for %g s: %s", PAUSE, error)
            stop()
            IOLoop.current().call_later(PAUSE, lambda: self._accept(patient))

        patient.when_short = pause


class PatientSocket(socket.socket):
    """A listening socket that tells of a shortage of files instead of raising it over and over."""

    when_short: Callable[[OSError], None]

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: There is none, or none can be taken now.
        """
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _SHORT:
                raise
            self.when_short(error)
            raise BlockingIOError from error


def most_connections() -> int:
    """Return how many connections this process may hold."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else max(16, min(MOST_CONNECTIONS, files - FILES_FOR_OTHERS))

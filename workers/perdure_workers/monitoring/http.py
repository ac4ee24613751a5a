"""A few pages over HTTP from threads of their own: for Prometheus, and for probes that ask whether a process lives."""

from __future__ import annotations

import logging
import os
import socket
import threading
import weakref
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct

logger = logging.getLogger("perdure.http")

#: Seconds for which a caller may say nothing.
PATIENCE = 5.0
#: Requests that are answered at once; more are turned away, so that nobody makes any number of threads.
MOST = 8


class Page(Struct, frozen=True):
    """An answer.

    Attributes:
        body: What it says.
        content_type: The type of that.
        status: The HTTP status.
    """

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = HTTPStatus.OK


#: What makes the answer for each path.
Pages = Mapping[str, Callable[[], Page]]

_UNKNOWN = Page(b"there is no such page\n", status=HTTPStatus.NOT_FOUND)
_FAILED = Page(b"the page cannot be made; the log has more\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)


class PageServer(ThreadingHTTPServer):
    """Serves pages until it is closed. A process that is forked meanwhile does not listen.

    Args:
        address: The address to listen on.
        port: The TCP port; 0 takes any that is free.
        pages: The pages by path.

    Raises:
        OSError: It cannot listen there.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: str, port: int, pages: Pages) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)
        self.pages = pages
        self._room = threading.BoundedSemaphore(MOST)
        _open.add(self)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.server_address[0]!s}]" if self.address_family == socket.AF_INET6 else str(self.server_address[0])
        return f"http://{host}:{self.server_port}"

    def start(self) -> None:
        """Serve from a thread of its own; returns at once."""
        threading.Thread(target=self.serve_forever, name="perdure-http", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer from a thread, if there is room for one more."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a caller, who may have left."""
        logger.debug("a request from %s failed", client_address, exc_info=True)


_open: weakref.WeakSet[PageServer] = weakref.WeakSet()


def _close_inherited() -> None:
    for server in list(_open):
        server.socket.close()


os.register_at_fork(after_in_child=_close_inherited)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Answer with the page of the path."""
        page = self._page(self.path.partition("?")[0])
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(page.body)

    def version_string(self) -> str:
        """Return what is said of who serves."""
        return "perdure"

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request; probes come every few seconds."""
        logger.debug(format, *args)

    def _page(self, path: str) -> Page:
        make = self.server.pages.get(path)
        if make is None:
            return _UNKNOWN
        try:
            return make()
        except Exception:
            logger.exception("page %s failed", path)
            return _FAILED

"""Flower with perdure's pages, as a process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from flower import command
from flower.app import Flower, rewrite_handler
from tornado.netutil import bind_sockets
from tornado.options import options

from perdure import Perdure
from perdure_workers.facts.history import History
from perdure_workers.flower.access import credentials
from perdure_workers.flower.bounds import BoundedServer
from perdure_workers.flower.guard import Refused, TooMany, refusal
from perdure_workers.flower.known import is_known
from perdure_workers.flower.metrics import install_metrics
from perdure_workers.flower.routes import routes
from perdure_workers.flower.sign_in import SignIn
from perdure_workers.flower.stock import mend
from perdure_workers.flower.stream import Watches
from perdure_workers.flower.templates_loader import TwoFolders

#: Threads that read the ledger and Redis for pages. Few: a page that waits is better than a database that is overrun.
THREADS = 4


class PerdureFlower(Flower):  # type: ignore[misc]
    """Flower's application with perdure's handlers before its own.

    Args:
        perdure: The application that is shown.
        settings: What Flower's command passes on.
    """

    def __init__(self, *, perdure: Perdure, **settings: Any) -> None:
        loader = TwoFolders(settings["template_path"])
        # Flower's own scripts read the cookie of the token, so that it cannot be kept from scripts.
        settings["xsrf_cookie_kwargs"] = {"samesite": "Lax"}
        super().__init__(template_loader=loader, **settings)
        self.perdure: Perdure = perdure
        self.sign_in: SignIn = SignIn(credentials(perdure.settings))
        self.facts_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="perdure-facts")
        self.history: History = History(perdure)
        handlers = routes(Watches(self))
        if prefix := self.options.url_prefix:
            handlers = [rewrite_handler(handler, prefix) for handler in handlers]
        self.add_handlers(r".*", handlers)

    def find_handler(self, request: Any, **kwargs: Any) -> Any:
        """Refuse who guesses passwords, and writes without permission, before any handler sees them."""
        if (wait := self._wait(request)) > 0:
            return self.get_handler_delegate(request, TooMany, {"wait": wait})
        why = refusal(request, self.perdure.settings, read_only=self.options.read_only)
        if why is not None:
            return self.get_handler_delegate(request, Refused, {"why": why})
        return super().find_handler(request, **kwargs)

    def start_http_server(self) -> int | None:
        """Listen within bounds, and return the port."""
        if self.options.unix_socket:
            port: int | None = super().start_http_server()
            return port
        sockets = bind_sockets(self.options.port, address=self.options.address)
        port = int(sockets[0].getsockname()[1])
        server = BoundedServer(self, ssl_options=self.ssl_options, xheaders=self.options.xheaders)
        server.add_sockets(sockets)
        return port

    def _wait(self, request: Any) -> float:
        """Return the seconds that a request has to wait for, after too many wrong passwords from where it comes."""
        authorization = request.headers.get("Authorization")
        if authorization is None:  # a browser that has not asked yet, or a page that needs no password
            return 0.0
        user = self.sign_in.user(authorization)
        if user is not None and is_known(self, request, user):
            return 0.0
        if (wait := self.sign_in.wait(request.remote_ip)) > 0:
            return wait
        if user is None:
            self.sign_in.failed(request.remote_ip, authorization)
        return 0.0


def run_flower(
    app: Perdure, *, address: str, port: int, read_only: bool = False, url_prefix: str = "", extra: tuple[str, ...] = ()
) -> None:
    """Serve Flower until the process is told to stop.

    Args:
        app: The application to watch.
        address: The address to listen on.
        port: The TCP port to listen on.
        read_only: Whether nothing can be changed by it.
        url_prefix: The path under which a proxy serves it.
        extra: More options of Flower, such as ``--xheaders=true``.
    """
    # Not by argument: Flower would split a password at its commas.
    options.basic_auth = credentials(app.settings)
    mend()
    install_metrics(app)
    command.Flower = partial(PerdureFlower, perdure=app)
    arguments = [f"--address={address}", f"--port={port}", *extra]
    arguments += [f"--url-prefix={url_prefix}"] if url_prefix else []
    arguments += ["--read-only=true"] if read_only else []
    app.celery.start(argv=["flower", *arguments])

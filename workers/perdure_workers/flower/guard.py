"""Nobody without permission writes: one check before any handler, Flower's own included."""

from __future__ import annotations

import math
from typing import Any

from flower.views import BaseHandler
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, authenticated

from perdure.settings.settings import Settings
from perdure_workers.flower.access import Role, role_of, user_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def refusal(request: HTTPServerRequest, settings: Settings, *, read_only: bool) -> str | None:
    """Return why a request must not be served, or None.

    Args:
        request: Any request, signed in or not; who is not gets a 401 from the handler.
        settings: Where the users are.
        read_only: Whether Flower was started with ``--read-only``.
    """
    if request.method in SAFE_METHODS:
        return None
    if read_only:
        return "Read only mode is enabled"
    user = user_of(request.headers.get("Authorization"))
    if role_of(user, settings) is Role.VIEWER:
        return f"{user} is a viewer; only an operator may do this"
    return None


class Refused(BaseHandler):  # type: ignore[misc]
    """Answers what is not to be served: 401 for who is not signed in, 403 for who is."""

    def initialize(self, why: str) -> None:
        """Take the reason."""
        self._why = why

    def check_xsrf_cookie(self) -> None:
        """Nothing is written here."""

    @authenticated
    def _refuse(self, *_args: Any, **_kwargs: Any) -> None:
        raise HTTPError(403, self._why)

    post = put = patch = delete = _refuse


class TooMany(BaseHandler):  # type: ignore[misc]
    """Answers who has sent too many wrong passwords."""

    def initialize(self, wait: float) -> None:
        """Take the seconds after which another one is looked at."""
        self._wait = wait

    def prepare(self) -> None:
        """Answer every method alike."""
        self.set_status(429)
        self.set_header("Retry-After", str(math.ceil(self._wait)))
        self.finish("Too many wrong passwords. Try again later.")

"""What all of perdure's pages and API handlers share: sign-in, roles, threads for the ledger, errors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from flower.views import BaseHandler
from redis.exceptions import RedisError
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from perdure.errors import (
    AmbiguousId,
    DeadLetterNotFound,
    JobNotFound,
    LedgerUnavailable,
    PerdureError,
    UnknownBulkhead,
    UnknownSchedule,
)
from perdure.model.moments import UNDERSTOOD
from perdure_workers.flower import charts, formatting
from perdure_workers.flower.access import Role, role_of, user_of
from perdure_workers.flower.known import remember
from perdure_workers.shared.counted import many

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.flower.site import Site

Result = TypeVar("Result")

#: No inline scripts and nothing from elsewhere: what a job's arguments hold stays text even if escaping failed.
POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
)
FLASH = "perdure_flash"
_NOT_FOUND = (AmbiguousId, JobNotFound, DeadLetterNotFound, UnknownBulkhead, UnknownSchedule)


@dataclass(frozen=True, slots=True)
class Flash:
    """What the next page says: what was done, whether it went well, and what undoes it (see ``Done``)."""

    message: str
    good: bool = True
    undo: tuple[str, str] | None = None


class PerdureHandler(BaseHandler):  # type: ignore[misc]
    """A handler that knows the application and who asks."""

    @property
    def server(self) -> Site:
        """Flower with perdure's parts."""
        return cast("Site", self.application)

    @property
    def perdure(self) -> Perdure:
        """The application that is shown."""
        return self.server.perdure

    @property
    def user(self) -> str:
        """Who asks."""
        named = user_of(self.request.headers.get("Authorization"))
        return named or (self.current_user if isinstance(self.current_user, str) else "flower")

    @property
    def is_signed_in(self) -> bool:
        """Whether the handler knows who asks: before that, nothing is told."""
        return getattr(self, "_current_user", None) is not None

    @property
    def may_write(self) -> bool:
        """Whether who asks may change something here."""
        return not self.server.options.read_only and role_of(self.user, self.perdure.settings) is Role.OPERATOR

    def set_default_headers(self) -> None:
        """Keep what is shown out of caches and frames."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "same-origin")

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Run what needs the ledger or Redis in a thread, and make of its errors what the web knows.

        Raises:
            HTTPError: It failed; 404, 400 or 503.
        """
        try:
            return await IOLoop.current().run_in_executor(self.server.facts_pool, work)
        except _NOT_FOUND as error:
            raise HTTPError(404, _plain(error)) from error
        except (LedgerUnavailable, RedisError) as error:
            raise HTTPError(503, _plain(error)) from error
        except PerdureError as error:
            raise HTTPError(400, _plain(error)) from error


class PageHandler(PerdureHandler):
    """A page; its forms carry a token."""

    def check_xsrf_cookie(self) -> None:
        """Check the token of every form, besides what Flower checks."""
        super().check_xsrf_cookie()
        RequestHandler.check_xsrf_cookie(self)

    def page(self, template: str, **facts: Any) -> None:
        """Render a page with what all pages need."""
        remember(self, self.user)
        self.render(template, **{**self.common(), **facts})

    def common(self) -> dict[str, Any]:
        """Return what all templates need."""
        return {
            "shown": formatting,
            "plots": charts,
            "many": many,
            "may_write": self.may_write,
            "user": self.user,
            "flash": self._take_flash(),
            "as_of": datetime.now(UTC),
            "live_now": False,
            "injected": (),
            "question": {},
            "understood": UNDERSTOOD,
            "form": {},
        }

    def done(self, flash: Flash, to: str) -> None:
        """Say what was done on the next page. It goes by a cookie: nothing that people wrote belongs into a URL."""
        self.set_secure_cookie(FLASH, msgspec.json.encode(flash).decode(), expires_days=None)
        self.redirect(to, status=303)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Show an error as a page."""
        if status_code == 401 or not self.is_signed_in:
            super().write_error(status_code, **kwargs)
            return
        error = kwargs.get("exc_info", (None, None))[1]
        said = error.get_message() if isinstance(error, HTTPError) else ""
        self.render("perdure_error.html", status=status_code, message=said or self._reason, **self.common())

    def _take_flash(self) -> Flash | None:
        if (flash := self.get_secure_cookie(FLASH)) is None:
            return None
        self.clear_cookie(FLASH)
        with suppress(msgspec.MsgspecError):  # one of another release
            return msgspec.json.decode(flash, type=Flash)
        return None


class ApiHandler(PerdureHandler):
    """A handler that speaks JSON."""

    def check_xsrf_cookie(self) -> None:
        """Take writes as JSON alone, which no other site's form can send, besides what Flower checks."""
        super().check_xsrf_cookie()
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise HTTPError(415, "send Content-Type: application/json")

    def reply(self, value: Any) -> None:
        """Answer with a value as JSON."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(msgspec.json.encode(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error as JSON."""
        error = kwargs.get("exc_info", (None, None))[1]
        message = (error.get_message() if isinstance(error, HTTPError) else "") or self._reason
        if status_code == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        self.reply({"error": message})


def _plain(error: Exception) -> str:
    # HTTPError formats its message by its arguments.
    return str(error).replace("%", "%%")

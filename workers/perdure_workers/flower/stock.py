"""What perdure mends in Flower's own pages: who is signed in, what they may load, and events that break them."""

from __future__ import annotations

import hashlib
import logging
import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from celery.events import EventReceiver
from flower import events
from flower.views import BaseHandler
from tornado.web import HTTPError

logger = logging.getLogger("perdure.flower")

#: Flower's page of workers has the one inline script that there is, in these two forms.
INLINE = ("\nvar autorefresh = 0;\n", "\nvar autorefresh = 1;\n")
_HASHES = " ".join(f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in INLINE)
#: Nothing from elsewhere and no other inline script: what a job's arguments hold stays text even if escaping failed.
STOCK_POLICY = (
    f"default-src 'self'; script-src 'self' {_HASHES}; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
#: The longest name of a worker, of an event's kind or of a job that an event may have.
LONGEST_NAME = 255
_TEXTS = ("type", "hostname", "uuid", "name", "state", "sw_ident", "sw_ver", "sw_sys")
_NUMBERS = ("timestamp", "local_received", "freq", "active", "processed", "runtime", "clock", "pid", "retries", "utcoffset")

_get_current_user: Callable[[Any], Any] = BaseHandler.get_current_user
_set_default_headers: Callable[[Any], None] = BaseHandler.set_default_headers


def mend() -> None:
    """Give Flower perdure's sign-in, which fails on no bytes, a policy for what its pages load, and plausible events."""
    events.EventReceiver = PlausibleEvents
    BaseHandler.get_current_user = _current_user
    BaseHandler.set_default_headers = _default_headers


def _current_user(handler: Any) -> Any:
    """Return who is signed in.

    Raises:
        HTTPError: Nobody is; 401.
    """
    if handler.application.sign_in.user(handler.request.headers.get("Authorization")) is None:
        raise HTTPError(401)
    return _get_current_user(handler) if handler.application.options.auth else True


def _default_headers(handler: Any) -> None:
    _set_default_headers(handler)
    handler.set_header("Content-Security-Policy", STOCK_POLICY)
    handler.set_header("Referrer-Policy", "same-origin")


class PlausibleEvents(EventReceiver):
    """Receives events and leaves out those that no worker sends: whoever reaches the broker can send any.

    It looks at them as they come in: Celery's own reading of one fails on some, and Flower then loses all that are on
    their way.
    """

    is_warned = False

    def _receive(self, body: Any, message: Any, **_kwargs: Any) -> None:
        for event in body if isinstance(body, list) else [body]:
            if is_plausible(event):
                self.process(*self.event_from_message(event))
            elif not self.is_warned:
                self.is_warned = True
                logger.warning("an event that no worker sends is left out, as are more of them: %.200r", event)


def is_plausible(event: Any) -> bool:
    """Return whether an event has the fields that Flower counts on, each of its kind."""
    if not isinstance(event, Mapping) or not all(isinstance(event.get(name), str) for name in ("type", "hostname")):
        return False
    if event["type"].startswith("task-") and not isinstance(event.get("uuid"), str):
        return False
    texts = (event[name] for name in _TEXTS if event.get(name) is not None)
    numbers = (event[name] for name in _NUMBERS if event.get(name) is not None)
    return (
        _is_number(event.get("timestamp"))
        and all(isinstance(text, str) and 0 < len(text) <= LONGEST_NAME for text in texts)
        and all(map(_is_number, numbers))
        and _is_load(event.get("loadavg"))
    )


def _is_load(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and all(map(_is_number, value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < 1e15

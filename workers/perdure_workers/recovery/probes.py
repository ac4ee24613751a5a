"""``/livez``, ``/readyz``, ``/healthz`` and ``/metrics`` of a worker or supervisor: for containers, and for Prometheus."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from perdure import Perdure
from perdure.system.later import later
from perdure_workers.embedded.errors import PortTaken
from perdure_workers.recovery.pulse import PATIENCE, Pulse

if TYPE_CHECKING:
    from perdure_workers.monitoring import http
else:
    (http,) = later("perdure_workers.monitoring", "http")  # a server of HTTP takes 1 MB, and few workers have one

logger = logging.getLogger("perdure.http")

#: Seconds for which a health report will do: probes come from many places.
FRESH = 5.0


def serve_probes(app: Perdure, pulse: Pulse, missing: Callable[[], str]) -> http.PageServer | None:
    """Serve the pages of this process if the setting ``http_port`` wants them, and return what serves them.

    Args:
        app: The application.
        pulse: The pulse of this process' main loop.
        missing: Says what this process needs to do its work and has not; "" when it has everything.

    Raises:
        PortTaken: Another process has the port.
    """
    address, port = app.settings.http_address, app.settings.http_port
    if port is None:
        return None
    from perdure_workers.monitoring.pages import metrics_page  # here: Prometheus' client takes some memory

    pages = {
        "/livez": lambda: _answer(_late(pulse)),
        "/readyz": lambda: _answer(_late(pulse) or missing()),
        "/healthz": lambda: health_page(app),
        "/metrics": metrics_page(app),
    }
    try:
        server = http.PageServer(address, port, pages)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken("http_port", port, address) from error
        raise
    pulse.http = server.url
    server.start()
    logger.info("%s/livez, /readyz, /healthz and /metrics are served", server.url)
    return server


def health_page(app: Perdure) -> http.Page:
    """Return the platform's health report as JSON, with status 503 when it is unhealthy."""
    report = app.health(max_age=FRESH)
    body = msgspec.json.encode(report, enc_hook=str)
    return http.Page(body, "application/json", _status(is_well=report.status != "unhealthy"))


def _late(pulse: Pulse) -> str:
    """Return what is wrong with the main loop: it goes round every two seconds. One that has not begun to is starting."""
    age = pulse.age
    return "" if age is None or age <= PATIENCE else f"the main loop has not gone round for {age:.0f} s"


def _answer(wrong: str) -> http.Page:
    return http.Page(f"{wrong or 'ok'}\n".encode(), status=_status(is_well=not wrong))


def _status(*, is_well: bool) -> int:
    return HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE

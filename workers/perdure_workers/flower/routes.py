"""Where what is found."""

from __future__ import annotations

from typing import Any

from tornado.web import StaticFileHandler, url

from perdure_workers.flower.api import ActApi, ReadApi
from perdure_workers.flower.asking import AskBackfill, AskJobs, AskLetters
from perdure_workers.flower.broker_tab import BrokerTab
from perdure_workers.flower.pages import (
    PAGES,
    AlertsPage,
    BreakersPage,
    Find,
    Home,
    JobPage,
    JobsPage,
    LetterPage,
    LettersPage,
    OverviewPage,
    SchedulesPage,
    TasksPage,
    WorkersPage,
)
from perdure_workers.flower.stream import Stream, Watches
from perdure_workers.flower.templates_loader import STATIC


def routes(watches: Watches) -> list[Any]:
    """Return perdure's handlers; they come before Flower's. ``watches`` is what open pages show."""
    return [
        url(r"/", Home, name="main"),
        url(r"/broker", BrokerTab, name="broker"),
        url(r"/perdure/overview", OverviewPage, name="perdure_overview"),
        url(r"/perdure/alerts", AlertsPage, name="perdure_alerts"),
        url(r"/perdure/jobs", JobsPage, name="perdure_jobs"),
        url(r"/perdure/find", Find, name="perdure_find"),
        url(r"/perdure/ask/jobs", AskJobs, name="perdure_ask_jobs"),
        url(r"/perdure/ask/backfill", AskBackfill, name="perdure_ask_backfill"),
        url(r"/perdure/ask/dead-letters", AskLetters, name="perdure_ask_letters"),
        url(r"/perdure/jobs/([^/]+)", JobPage, name="perdure_job"),
        url(r"/perdure/dead-letters", LettersPage, name="perdure_letters"),
        url(r"/perdure/dead-letters/([^/]+)", LetterPage, name="perdure_letter"),
        url(r"/perdure/tasks", TasksPage, name="perdure_tasks"),
        url(r"/perdure/schedules", SchedulesPage, name="perdure_schedules"),
        url(r"/perdure/breakers", BreakersPage, name="perdure_breakers"),
        url(r"/perdure/workers", WorkersPage, name="perdure_workers"),
        url(r"/perdure/stream/([a-z]+)", Stream, {"pages": PAGES, "watches": watches}, name="perdure_stream"),
        url(r"/perdure/static/(.*)", StaticFileHandler, {"path": str(STATIC)}, name="perdure_static"),
        *_api(),
    ]


#: What the API tells of as a whole.
_LISTS = ("overview", "alerts", "breakers", "workers", "jobs", "tasks", "schedules")


def _api() -> list[Any]:
    base = r"/api/perdure"
    lists = [url(rf"{base}/{name}", ReadApi, {"reader": name}) for name in _LISTS]
    return [
        *lists,
        url(rf"{base}/dead-letters", ReadApi, {"reader": "dead-letters"}),
        url(rf"{base}/jobs/([^/]+)", ReadApi, {"reader": "job"}),
        url(rf"{base}/dead-letters/([^/]+)", ReadApi, {"reader": "dead-letter"}),
        url(rf"{base}/jobs/(all)/([a-z-]+)", ActApi, {"kind": "jobs"}),
        url(rf"{base}/jobs/([^/]+)/([a-z-]+)", ActApi, {"kind": "job"}),
        url(rf"{base}/dead-letters/(all)/([a-z-]+)", ActApi, {"kind": "letters"}),
        url(rf"{base}/dead-letters/([^/]+)/([a-z-]+)", ActApi, {"kind": "letter"}),
        url(rf"{base}/alerts/([^/]+)/([a-z-]+)", ActApi, {"kind": "alert"}),
        url(rf"{base}/breakers/([^/]+)/([a-z-]+)", ActApi, {"kind": "breaker"}),
        url(rf"{base}/schedules/([^/]+)/([a-z-]+)", ActApi, {"kind": "schedule"}),
        url(rf"{base}/bulkheads/([^/]+)/([a-z-]+)", ActApi, {"kind": "bulkhead"}),
    ]

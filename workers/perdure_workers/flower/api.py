"""The JSON API under ``/api/perdure``: what the pages show, and what their forms do, with the same checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from tornado.web import HTTPError, authenticated

from perdure_workers.facts import job_facts, task_facts
from perdure_workers.flower import letter_facts, queries
from perdure_workers.flower.actions import ACTIONS, run_action
from perdure_workers.flower.alerts import alert_page
from perdure_workers.flower.ask import Ask
from perdure_workers.flower.handler import ApiHandler
from perdure_workers.flower.overview import overview

if TYPE_CHECKING:
    from perdure_workers.flower.site import Site

Reader = Callable[["Site", Mapping[str, str]], Any]

READERS: dict[str, Reader] = {
    "overview": lambda server, asked: overview(server.perdure, server.history),
    "alerts": lambda server, asked: alert_page(server.perdure),
    "jobs": lambda server, asked: job_facts.job_list(server.perdure, asked),
    "job": lambda server, asked: job_facts.job(server.perdure, asked["of"]),
    "dead-letters": lambda server, asked: letter_facts.letter_list(server.perdure, asked),
    "dead-letter": lambda server, asked: letter_facts.letter(server.perdure, asked["of"]),
    "breakers": lambda server, asked: queries.breaker_list(server.perdure),
    "tasks": lambda server, asked: task_facts.task_list(server.perdure, server.history),
    "schedules": lambda server, asked: task_facts.schedule_list(server.perdure),
    "workers": lambda server, asked: queries.worker_list(server.perdure),
}


class ReadApi(ApiHandler):
    """Answers with facts."""

    def initialize(self, reader: str) -> None:
        """Take the name of what is read."""
        self._reader = READERS[reader]

    @authenticated
    async def get(self, of: str | None = None) -> None:
        """Answer with what the page of the same name shows; filters as there."""
        asked = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        asked |= {"of": of} if of else {}
        self.reply(await self.in_thread(lambda: self._reader(self.server, asked)))


class ActApi(ApiHandler):
    """Does something to one thing."""

    def initialize(self, kind: str) -> None:
        """Take the kind of thing."""
        self._kind = kind

    @authenticated
    async def post(self, of: str, action: str) -> None:
        """Do what the path says with what the JSON body says."""
        if not self.may_write:
            raise HTTPError(403, "not allowed")
        if (self._kind, action) not in ACTIONS:
            raise HTTPError(404, "no such action")
        ask = Ask(self.perdure, self._kind, action, of, self._body(), self.user)
        done = await self.in_thread(lambda: run_action(ask))
        self.reply({"message": done.message, "job_id": done.job_id, "undo": done.undo})

    def _body(self) -> dict[str, Any]:
        try:
            return msgspec.json.decode(self.request.body or b"{}", type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise HTTPError(400, f"the body is no JSON object: {error}".replace("%", "%%")) from error
        except RecursionError as error:
            raise HTTPError(400, "the body is nested too deeply") from error

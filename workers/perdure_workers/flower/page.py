"""A page that keeps itself up to date: facts read in a thread, shown by a template, and again whenever they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from tornado.web import HTTPError, authenticated

from perdure.errors import InvalidArguments, PerdureError
from perdure_workers.flower.actions import run_action
from perdure_workers.flower.ask import Ask
from perdure_workers.flower.handler import Flash, PageHandler

if TYPE_CHECKING:
    from perdure_workers.flower.site import Site

Question = Mapping[str, str]


class Page(PageHandler):
    """One of perdure's pages.

    Subclasses say what they show by ``facts`` and ``template``. The parts of it that change carry ``data-live`` and an id,
    and stand in ``live`` alone, which the stream renders again.
    """

    name: ClassVar[str]
    template: ClassVar[str]
    live: ClassVar[str]
    #: What of the query is part of the question.
    asks: ClassVar[tuple[str, ...]] = ()
    #: The kind of thing that this page's forms act on; see :mod:`perdure_workers.flower.actions`.
    acts_on: ClassVar[str] = ""

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return what the page shows; runs in a thread."""
        raise NotImplementedError

    @classmethod
    def question(cls, handler: PageHandler, of: str | None = None) -> dict[str, str]:
        """Return what a request asks for: the filters of its query that are not empty, and the thing that it names."""
        asked = {name: handler.get_query_argument(name, "").strip() for name in cls.asks}
        question = {name: value for name, value in asked.items() if value}
        return question | {"of": of} if of else question

    @classmethod
    def is_live(cls, question: Question) -> bool:
        """Return whether the page keeps itself up to date: not an older part of a list."""
        return "after" not in question

    @authenticated
    async def get(self, of: str | None = None) -> None:
        """Show the page."""
        await self.show(of)

    async def show(self, of: str | None, **more: Any) -> None:
        """Show the page; ``more`` takes the place of what all templates are given."""
        question = self.question(self, of)
        try:
            facts = await self.in_thread(lambda: self.facts(self.server, question))
        except HTTPError as error:
            if not isinstance(error.__cause__, InvalidArguments) or not self.asks:
                raise
            self.set_status(error.status_code)  # the filter stays in its form, with what is wrong with it
            facts = await self.in_thread(lambda: self.facts(self.server, {}))
            more = {"flash": Flash(f"{error.__cause__}. Nothing is filtered below.", good=False), "live_now": False, **more}
        injected = await self.in_thread(self.perdure.faults.list) if self.perdure.settings.faults_allowed else ()
        common = {
            "injected": injected,
            "question": question,
            "stream": self.stream_url(question),
            "live_now": self.is_live(question),
        }
        self.page(self.template, **{**common, **facts, **more})

    @authenticated
    async def post(self, of: str | None = None) -> None:
        """Do what a form asks for and show the page that tells of it; what was typed stays after a mistake."""
        if not self.may_write:
            raise HTTPError(403, "not allowed")
        form = {name: self.get_body_argument(name, "") for name in self.request.body_arguments}
        # A button in a row names its row: "pause:normal".
        action, _, row = form.get("action", "").partition(":")
        ask = Ask(self.perdure, self.acts_on, action, of or row or form.get("of", ""), self._said(form), self.user)
        if (page := self.asks_first(ask)) is not None:
            self.redirect(page, status=303)
            return
        try:
            done = await self.in_thread(lambda: run_action(ask))
        except HTTPError as error:
            if not isinstance(error.__cause__, PerdureError) or error.status_code in (404, 503):
                raise
            if (page := self.asks_first(ask.unconfirmed())) is not None:
                self.done(Flash(str(error.__cause__), good=False), page)  # where it asks again
                return
            self.set_status(error.status_code)
            await self.show(of, form=form, flash=Flash(str(error.__cause__), good=False))
            return
        back = self.request.path + (f"?{self.request.query}" if self.request.query else "")
        self.done(Flash(done.message, done.good, done.undo), self.reverse_url(done.page, *done.of) if done.page else back)

    def asks_first(self, ask: Ask) -> str | None:
        """Return the page that asks before something is done, or None when it is done at once."""
        return None

    def _said(self, form: dict[str, str]) -> dict[str, Any]:
        ids = self.get_body_arguments("id")
        return {**form, "ids": ids} if ids else form

    def stream_url(self, question: Question) -> str:
        """Return where the page's updates come from."""
        return f"{self.reverse_url('perdure_stream', self.name)}?{urlencode(question)}"

"""Pages that stand before a bulk action: they say how many it touches, and ask."""

from __future__ import annotations

from urllib.parse import urlencode

from tornado.web import HTTPError, authenticated

from perdure.manage.dead_letters.filters import NAMES
from perdure.manage.jobs import FILTERS
from perdure_workers.facts import task_facts
from perdure_workers.flower import letter_facts
from perdure_workers.flower.ask import CONFIRMED, Ask
from perdure_workers.flower.handler import PageHandler
from perdure_workers.flower.job_actions import cancellable
from perdure_workers.flower.letter_actions import BULK

#: How many letters are to be replayed at what rate.
_HOW = (*BULK, "because")


def ask_url(page: str, ask: Ask) -> str | None:
    """Return where a bulk action is asked for again; None when the form says that it was."""
    if ask.flag(CONFIRMED):
        return None
    said = {name: text for name in ask.form if name not in ("_xsrf", "ids") and (text := ask.text(name))}
    return f"{page}?{urlencode({'of': ask.of, **said} if ask.of else said)}"


class AskLetters(PageHandler):
    """Says what a bulk replay or discard would do."""

    @authenticated
    async def get(self) -> None:
        """Show it, with the form that does it."""
        asked = _asked(self, ("action", *NAMES, *_HOW))
        facts = await self.in_thread(lambda: letter_facts.bulk_question(self.perdure, asked))
        if facts["problem"]:
            self.set_status(400)
        self.page("perdure_ask_letters.html", **facts)


class AskJobs(PageHandler):
    """Says how many jobs a bulk cancel would touch."""

    @authenticated
    async def get(self) -> None:
        """Show it, with the form that does it."""
        asked = _asked(self, ("reason", *FILTERS))
        filters = {name: text for name, text in asked.items() if name != "reason"}
        jobs, are_more = await self.in_thread(lambda: cancellable(self.perdure, filters))
        self.page("perdure_ask_jobs.html", asked=asked, filters=filters, count=len(jobs), are_more=are_more)


class AskBackfill(PageHandler):
    """Says how many jobs a backfill would submit."""

    @authenticated
    async def get(self) -> None:
        """Show it, with the form that does it."""
        asked = _asked(self, ("of", "from", "to"))
        facts = await self.in_thread(lambda: task_facts.backfill_question(self.perdure, asked))
        self.page("perdure_ask_backfill.html", **facts)


def _asked(handler: PageHandler, names: tuple[str, ...]) -> dict[str, str]:
    if not handler.may_write:
        raise HTTPError(403, "not allowed")
    asked = {name: handler.get_query_argument(name, "").strip() for name in names}
    return {name: text for name, text in asked.items() if text}

"""Perdure's pages, one class each. What they show is in ``facts.py``, how in their templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado.web import authenticated

from perdure_workers.flower import facts
from perdure_workers.flower.actions import FILTERS
from perdure_workers.flower.handler import PageHandler
from perdure_workers.flower.page import Page, Question

if TYPE_CHECKING:
    from perdure_workers.flower.server import PerdureFlower


class OverviewPage(Page):
    """The platform at a glance."""

    name = "overview"
    template, live = "perdure_overview.html", "perdure_overview_live.html"
    acts_on = "bulkhead"

    @staticmethod
    def facts(server: PerdureFlower, question: Question) -> dict[str, Any]:
        """Return bulkheads, breakers, workers, health."""
        return facts.overview(server.perdure, server.history)


class JobsPage(Page):
    """A list of jobs by filters, over the ledger's whole history."""

    name = "jobs"
    template, live = "perdure_jobs.html", "perdure_jobs_live.html"
    asks = ("state", "task", "bulkhead", "tag", "hours", "after")

    @staticmethod
    def facts(server: PerdureFlower, question: Question) -> dict[str, Any]:
        """Return a page of jobs."""
        return facts.job_list(server.perdure, question) | {"bulkhead_names": list(server.perdure.bulkheads)}


class JobPage(Page):
    """One job: what it is doing, what it did, and what can be done about it."""

    name = "job"
    template, live = "perdure_job.html", "perdure_job_live.html"
    acts_on = "job"

    @staticmethod
    def facts(server: PerdureFlower, question: Question) -> dict[str, Any]:
        """Return everything about a job."""
        return facts.job(server.perdure, question.get("of", ""))


class LettersPage(Page):
    """Dead letters: groups of the same fault, and the letters themselves."""

    name = "letters"
    template, live = "perdure_letters.html", "perdure_letters_live.html"
    asks = (*FILTERS, "after")
    acts_on = "letters"

    @staticmethod
    def facts(server: PerdureFlower, question: Question) -> dict[str, Any]:
        """Return groups and a page of letters."""
        return facts.letter_list(server.perdure, question)


class LetterPage(Page):
    """One dead letter."""

    name = "letter"
    template, live = "perdure_letter.html", "perdure_letter_live.html"
    acts_on = "letter"

    @staticmethod
    def facts(server: PerdureFlower, question: Question) -> dict[str, Any]:
        """Return everything about a letter."""
        return facts.letter(server.perdure, question.get("of", ""))


class BreakersPage(Page):
    """Circuit breakers."""

    name = "breakers"
    template, live = "perdure_breakers.html", "perdure_breakers_live.html"
    acts_on = "breaker"

    @staticmethod
    def facts(server: PerdureFlower, question: Question) -> dict[str, Any]:
        """Return breakers and their histories."""
        return facts.breaker_list(server.perdure)


class WorkersPage(Page):
    """Workers with their leases, and what happened to them."""

    name = "workers"
    template, live = "perdure_workers.html", "perdure_workers_live.html"

    @staticmethod
    def facts(server: PerdureFlower, question: Question) -> dict[str, Any]:
        """Return workers and changes of their states."""
        return facts.worker_list(server.perdure)


class Home(PageHandler):
    """Goes to the overview. Flower's script takes what stands at ``/`` for its own page of workers."""

    @authenticated
    def get(self) -> None:
        """Redirect."""
        self.redirect(self.reverse_url("perdure_overview"))


class FindJob(PageHandler):
    """Goes to the job whose id was typed in."""

    @authenticated
    def get(self) -> None:
        """Redirect to the job's page."""
        self.redirect(self.reverse_url("perdure_job", self.get_query_argument("id", "").strip() or "none"))


PAGES: dict[str, type[Page]] = {
    page.name: page for page in (OverviewPage, JobsPage, JobPage, LettersPage, LetterPage, BreakersPage, WorkersPage)
}

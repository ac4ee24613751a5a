"""Perdure's pages, one class each. What they show is in ``queries.py``, how in their templates."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tornado.web import authenticated

from perdure.errors import DeadLetterNotFound, JobNotFound
from perdure.manage.dead_letters.filters import NAMES as LETTER_FILTERS
from perdure.manage.jobs import FILTERS as JOB_FILTERS
from perdure_workers.facts import job_facts, task_facts
from perdure_workers.flower import letter_facts, queries
from perdure_workers.flower.alerts import alert_page
from perdure_workers.flower.ask import Ask
from perdure_workers.flower.asking import ask_url
from perdure_workers.flower.handler import PageHandler
from perdure_workers.flower.overview import overview
from perdure_workers.flower.page import Page, Question

if TYPE_CHECKING:
    from perdure_workers.flower.site import Site


class OverviewPage(Page):
    """The platform at a glance."""

    name = "overview"
    template, live = "perdure_overview.html", "perdure_overview_live.html"
    acts_on = "bulkhead"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return bulkheads, breakers, workers, health."""
        return overview(server.perdure, server.history)


class AlertsPage(Page):
    """What fires and did, silences, objectives."""

    name = "alerts"
    template, live = "perdure_alerts.html", "perdure_alerts_live.html"
    acts_on = "alert"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return alerts, silences and objectives."""
        return alert_page(server.perdure)


class JobsPage(Page):
    """A list of jobs by filters, over the ledger's whole history."""

    name = "jobs"
    template, live = "perdure_jobs.html", "perdure_jobs_live.html"
    asks = (*JOB_FILTERS, *job_facts.HOW)
    acts_on = "jobs"

    @classmethod
    def is_live(cls, question: Question) -> bool:
        """Return whether the page keeps itself up to date: searching and sorting each second would cost too much."""
        return not {"after", "text", "sort"} & question.keys()

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return a page of jobs."""
        bulkheads, how = list(server.perdure.bulkheads), job_facts.HOW
        return job_facts.job_list(server.perdure, question) | {"bulkhead_names": bulkheads, "how": how}

    def asks_first(self, ask: Ask) -> str | None:
        """Return the page that asks whether all jobs that match are to be cancelled."""
        return ask_url(self.reverse_url("perdure_ask_jobs"), ask) if ask.action == "cancel" else None


class JobPage(Page):
    """One job: what it is doing, what it did, and what can be done about it."""

    name = "job"
    template, live = "perdure_job.html", "perdure_job_live.html"
    acts_on = "job"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return everything about a job."""
        return job_facts.job(server.perdure, question.get("of", ""))


class LettersPage(Page):
    """Dead letters: groups of the same fault, and the letters themselves."""

    name = "letters"
    template, live = "perdure_letters.html", "perdure_letters_live.html"
    asks = (*LETTER_FILTERS, "after")
    acts_on = "letters"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return groups and a page of letters."""
        return letter_facts.letter_list(server.perdure, question)

    def asks_first(self, ask: Ask) -> str | None:
        """Return the page that says how many letters there are and asks."""
        bulk = ask.action in ("replay", "discard")
        return ask_url(self.reverse_url("perdure_ask_letters"), ask) if bulk else None


class LetterPage(Page):
    """One dead letter."""

    name = "letter"
    template, live = "perdure_letter.html", "perdure_letter_live.html"
    acts_on = "letter"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return everything about a letter."""
        return letter_facts.letter(server.perdure, question.get("of", ""))


class BreakersPage(Page):
    """Circuit breakers."""

    name = "breakers"
    template, live = "perdure_breakers.html", "perdure_breakers_live.html"
    acts_on = "breaker"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return breakers and their histories."""
        return queries.breaker_list(server.perdure)


class WorkersPage(Page):
    """Workers with their leases, and what happened to them."""

    name = "workers"
    template, live = "perdure_workers.html", "perdure_workers_live.html"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return workers and changes of their states."""
        return queries.worker_list(server.perdure)


class TasksPage(Page):
    """Tasks: how often they run and fail, how long they take, and their last errors."""

    name = "tasks"
    template, live = "perdure_tasks.html", "perdure_tasks_live.html"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return the tasks with their last hour."""
        return task_facts.task_list(server.perdure, server.history)


class SchedulesPage(Page):
    """Periodic jobs: when they ran last, and when they run next."""

    name = "schedules"
    template, live = "perdure_schedules.html", "perdure_schedules_live.html"
    acts_on = "schedule"

    @staticmethod
    def facts(server: Site, question: Question) -> dict[str, Any]:
        """Return the schedules."""
        return task_facts.schedule_list(server.perdure)

    def asks_first(self, ask: Ask) -> str | None:
        """Return the page that says how many jobs a backfill would submit, and asks."""
        return ask_url(self.reverse_url("perdure_ask_backfill"), ask) if ask.action == "backfill" else None


class Home(PageHandler):
    """Goes to the overview. Flower's script takes what stands at ``/`` for its own page of workers."""

    @authenticated
    def get(self) -> None:
        """Redirect."""
        self.redirect(self.reverse_url("perdure_overview"))


class Find(PageHandler):
    """Goes to the job, else to the dead letter, whose id or a part of it was typed in."""

    @authenticated
    async def get(self) -> None:
        """Redirect to its page."""
        text = self.get_query_argument("id", "").strip()
        page, found = await self.in_thread(lambda: self._find(text))
        self.redirect(self.reverse_url(page, found))

    def _find(self, text: str) -> tuple[str, str]:
        with suppress(JobNotFound):
            return "perdure_job", self.perdure.jobs.find(text).id
        try:
            return "perdure_letter", self.perdure.dead_letters.find(text).id
        except DeadLetterNotFound:
            raise JobNotFound(f"no job and no dead letter has an id that is, begins or ends {text!r}") from None


PAGES: dict[str, type[Page]] = {
    page.name: page
    for page in (
        OverviewPage,
        AlertsPage,
        JobsPage,
        JobPage,
        LettersPage,
        LetterPage,
        TasksPage,
        SchedulesPage,
        BreakersPage,
        WorkersPage,
    )
}

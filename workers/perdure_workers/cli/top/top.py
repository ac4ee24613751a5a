"""The live view: one loop that hears keys and draws, beside the thread that reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.live import Live

from perdure.errors import PerdureError
from perdure.system.who import whoami
from perdure_workers.cli.top.keys import typed_keys
from perdure_workers.cli.top.refresher import Refresher
from perdure_workers.cli.top.view import SORTS, Section, head, job_screen, screen, sections
from perdure_workers.facts.job_facts import job as everything_about

if TYPE_CHECKING:
    from perdure import Perdure

#: Seconds within which a change of the terminal's size is seen, and new facts are drawn.
TICK = 0.2


class Top:
    """What somebody looks at, and what their keys do.

    Args:
        app: The application.
        where: What it is, in words.
        refresher: Reads the facts.
        console: Where it is drawn.
    """

    def __init__(self, app: Perdure, where: str, refresher: Refresher, console: Console) -> None:
        self._app, self._where, self._refresher, self._console = app, where, refresher, console
        self._sort = next(iter(SORTS))
        self._at = (0, 0)
        self._said = ""
        #: The id that is typed so far; None when none is asked for.
        self._typed: str | None = None
        self._open: str | None = None
        self._is_over = False
        self._keys: dict[str, Callable[[], None]] = {
            "q": self._quit, "end": self._quit, "escape": self._back, "up": lambda: self._move(-1),
            "k": lambda: self._move(-1), "down": lambda: self._move(1), "j": lambda: self._move(1),
            "tab": lambda: self._turn(1), "back-tab": lambda: self._turn(-1), "enter": self._open_chosen,
            "o": self._ask_for_id, "p": self._pause_or_resume, "s": self._next_sort, "r": refresher.now,
        }  # fmt: skip

    def run(self) -> None:
        """Show it until somebody quits."""
        drawn: Any = None
        with typed_keys() as typed, Live(console=self._console, screen=True, auto_refresh=False) as live:
            while not self._is_over:
                keys = typed(TICK)
                for key in keys:
                    self.press(key)
                now = (self._refresher.reads, self._console.size)
                if keys or now != drawn:
                    live.update(self.drawn(), refresh=True)
                    drawn = now

    def press(self, key: str) -> None:
        """Do what a key is for."""
        self._said = ""
        try:
            if self._typed is not None:
                self._type(key)
            elif key in self._keys:
                self._keys[key]()
        except PerdureError as error:
            self._said = f"{type(error).__name__}: {error}"

    def drawn(self) -> RenderableType:
        """Return the screen as it is to be now."""
        height = self._console.height
        if self._open is not None:
            try:
                return job_screen(everything_about(self._app, self._open), height)
            except PerdureError as error:
                self._open, self._said = None, f"{type(error).__name__}: {error}"
        facts, problem = self._refresher.facts, self._refresher.problem
        problems = [*(facts.problems if facts is not None else ())]
        if problem:
            age = "" if facts is None else f"this is {(datetime.now(UTC) - facts.at).total_seconds():.0f} s old: "
            problems.insert(0, age + problem)
        said = self._said if self._typed is None else f"job: {self._typed}▏ (enter opens it, escape does not)"
        shown = self._sections()
        return screen(head(facts, self._where, problems), shown, self._chosen(shown), height=height, said=said)

    def _sections(self) -> list[Section]:
        facts = self._refresher.facts
        return [] if facts is None else [section for section in sections(facts, self._sort) if section.rows]

    def _chosen(self, shown: list[Section]) -> tuple[int, int] | None:
        """Return where the cursor is, among what is there now."""
        if not shown:
            return None
        place = min(self._at[0], len(shown) - 1)
        return place, max(0, min(self._at[1], len(shown[place].rows) - 1))

    def _move(self, by: int) -> None:
        if (chosen := self._chosen(self._sections())) is not None:
            self._at = (chosen[0], max(0, chosen[1] + by))

    def _turn(self, by: int) -> None:
        if shown := self._sections():
            self._at = ((self._at[0] + by) % len(shown), 0)

    def _next_sort(self) -> None:
        names = list(SORTS)
        self._sort = names[(names.index(self._sort) + 1) % len(names)]

    def _pause_or_resume(self) -> None:
        section, name = self._of_cursor()
        facts = self._refresher.facts
        if section != "bulkhead" or name is None or facts is None:
            self._said = "select a bulkhead first: p pauses and resumes it"
            return
        if next(one.paused for one in facts.bulkheads if one.name == name):
            self._app.bulkheads.resume(name)
            self._said = f"{name} resumed"
        else:
            self._app.bulkheads.pause(name, by=f"top:{whoami()}", reason="perdure top")
            self._said = f"{name} paused: its jobs wait; p resumes it"
        self._refresher.now()

    def _open_chosen(self) -> None:
        section, key = self._of_cursor()
        if section == "bulkhead":
            key = next((job.id for job in self._app.jobs.list(bulkhead=key, limit=1)), None)
        elif section in ("breaker", "worker"):
            key = None
        self._open = key
        self._said = "" if key else "there is no job to open here"

    def _of_cursor(self) -> tuple[str, str | None]:
        shown = self._sections()
        chosen = self._chosen(shown)
        if chosen is None:
            return "", None
        section = shown[chosen[0]]
        return section.name.partition(" ")[0], section.keys[chosen[1]]

    def _ask_for_id(self) -> None:
        self._typed = ""

    def _type(self, key: str) -> None:
        assert self._typed is not None
        if key == "enter":
            typed, self._typed = self._typed, None
            self._open = self._app.jobs.find(typed).id
        elif key == "escape":
            self._typed = None
        elif key == "delete":
            self._typed = self._typed[:-1]
        elif len(key) == 1 and key.isprintable():
            self._typed += key

    def _back(self) -> None:
        self._open = None

    def _quit(self) -> None:
        self._is_over = True

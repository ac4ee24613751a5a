"""``app.dead_letters``: find, understand, replay and resolve what was given up.

The one service layer: the Python API, the command line and the web pages call these methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.manage.dead_letters import transfer
from perdure.manage.dead_letters.export_masking import without_secrets
from perdure.manage.dead_letters.filters import letter_filter
from perdure.manage.dead_letters.replay import LetterReplaying
from perdure.manage.dead_letters.replay_plan import fixed
from perdure.manage.dead_letters.resolve import LetterResolving
from perdure.manage.dead_letters.transfer import ImportReport
from perdure.model.dead_letter import Actor
from perdure.model.dead_letter_notices import DeadLetterNotice, NoticeKind, Notices

if TYPE_CHECKING:
    from perdure.ledger import Ledger
    from perdure.manage.dead_letters.bulk_replay import ReplayReport
    from perdure.manage.dead_letters.replayer import Replayer
    from perdure.model.task_spec import TaskSpec
    from perdure.submit.handle import Handles
    from perdure.submit.task import Task

Hook = TypeVar("Hook", bound=Callable[[DeadLetterNotice], object])


class DeadLetters(LetterReplaying, LetterResolving):
    """The dead letters of an application's ledger.

    Whatever changes something takes ``by=`` (who does it) and ``source=`` (from where; this process if not given), which
    go to the audit trail.

    Args:
        ledger: Where they are.
        replayer: Makes new jobs of them.
        handles: Makes the handles of these jobs.
        bulk_task: Returns the task that replays many.
        tasks: The application's tasks by name.
    """

    def __init__(
        self,
        ledger: Ledger,
        replayer: Replayer,
        handles: Handles,
        bulk_task: Callable[[], Task[..., ReplayReport]],
        tasks: Mapping[str, TaskSpec],
    ) -> None:
        super().__init__(ledger, replayer, handles, bulk_task)
        self._tasks = tasks
        self.notices = Notices()

    def export(
        self, *, secrets: bool = False, by: str = "python", source: str | None = None, **filters: Any
    ) -> Iterator[str]:
        """Yield each letter that matches filters as a line of JSON, with its attempts and checkpoints; the oldest first.

        Args:
            secrets: Write secrets too. Without them they are masked, and a letter that has some can be replayed where it
                is imported only with new arguments. What is sealed stays sealed either way.
            by: Who exports.
            source: From where.
            filters: Those of :meth:`list`.

        Raises:
            InvalidArguments: A filter is not allowed, or the application does not know a letter's task, and so not which of
                its arguments are secrets.
        """
        which, letters, actor = letter_filter(**filters), self._ledger.letters, Actor.of(by, source)
        fixed_now = fixed(which, letters.newest_id())
        if secrets:
            return transfer.export(letters, fixed_now, actor)
        tasks, vault = self._tasks, self._ledger.vault
        return transfer.export(letters, fixed_now, actor, lambda line: without_secrets(line, tasks, vault))

    def import_lines(self, lines: Iterable[str], *, by: str = "python", source: str | None = None) -> ImportReport:
        """Write the letters of an export, of this environment or another one; letters that are there stay as they are.

        Raises:
            InvalidArguments: A line is no exported letter; the message names its number.
        """
        return transfer.import_(self._ledger.letters, lines, Actor.of(by, source))

    def subscribe(self, subscriber: Hook) -> Hook:
        """Call a function with each :class:`~perdure.model.dead_letter_notices.DeadLetterNotice`; usable as a decorator.

        A notice is told of once, in the process that found it out: a supervisor or a worker.
        """
        self.notices.subscribe(subscriber)
        return subscriber

    def on_new_group(self, hook: Hook) -> Hook:
        """Call a function with the notice of each fault that was never seen before."""
        self.notices.subscribe(hook, NoticeKind.NEW_GROUP)
        return hook

    def on_growth(self, hook: Hook) -> Hook:
        """Call a function with the notice of each fault whose letters have doubled, from ten on."""
        self.notices.subscribe(hook, NoticeKind.GROWTH)
        return hook

    def on_boomerang(self, hook: Hook) -> Hook:
        """Call a function with the notice of each fault of which a replay died again."""
        self.notices.subscribe(hook, NoticeKind.BOOMERANG)
        return hook

    def on_regression(self, hook: Hook) -> Hook:
        """Call a function with the notice of each fault that came back with another release after it was dealt with."""
        self.notices.subscribe(hook, NoticeKind.REGRESSION)
        return hook

"""A task: a function that jobs run, and how they are submitted."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack

from perdure.errors import InvalidArguments, InvalidJobDefinition
from perdure.manage.dead_letters.auto_replay import AutoReplay
from perdure.model.checkpoint_schema import StatePolicy
from perdure.model.job_options import SubmitOptions
from perdure.model.retry_policy import RetryPolicy
from perdure.running.context import JobContext
from perdure.submit.handle import JobHandle
from perdure.submit.signature import Signature

if TYPE_CHECKING:
    from perdure.app import Perdure
    from perdure.submit.typed_options import MoreOptions, SubmitTypedOptions

#: Longest name of a task, in characters.
MAX_NAME = 255

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """What ``@app.job`` makes of a function. Calling it runs the function here and now, as without perdure.

    Args:
        app: The application.
        function: The function.
        name: The task's name, unique in the application.
        bulkhead: Where its jobs run.
        retry: What happens when an attempt fails.
        timeout: Seconds that one attempt may run; None for no bound.
        breaker: The circuit breaker that guards its jobs.
        limit: Jobs that may run at once in all workers, or of each key of ``limit_by``; None for no bound.
        limit_by: The argument or tag that is the limit's key, such as ``tenant``.
        rate: Jobs that may start per second in all workers; None for no bound.
        replicas: Workers that run each job; the result is that of the majority.
        auto_replay: What happens to its dead letters when that has closed again; None: they wait for a person.
        priority: 0 (first) to 9 (last) within the bulkhead.
        state: The shape of its checkpoints.

    Raises:
        InvalidJobDefinition: The function or an option cannot be used.
    """

    def __init__(
        self,
        app: Perdure,
        function: Callable[..., Any],
        *,
        name: str,
        bulkhead: str,
        retry: RetryPolicy,
        timeout: float | None = None,
        breaker: str | None = None,
        limit: int | None = None,
        limit_by: str | None = None,
        rate: float | None = None,
        replicas: int = 1,
        auto_replay: AutoReplay | bool | None = None,
        priority: int = 5,
        state: StatePolicy | None = None,
    ) -> None:
        if not inspect.isfunction(function) or _yields(function):
            raise InvalidJobDefinition(f"{name}: a job must be a function or coroutine function, not {function!r}")
        if not 0 < len(name) <= MAX_NAME:
            raise InvalidJobDefinition(f"name={name!r:.80}... must be a text of 1 to {MAX_NAME} characters")
        if timeout is not None and not timeout > 0:
            raise InvalidJobDefinition(f"{name}: timeout={timeout!r} must be a positive number of seconds")
        if limit is not None and limit < 1:
            raise InvalidJobDefinition(f"{name}: limit={limit!r} must be 1 or more")
        if limit_by is not None and limit is None:
            raise InvalidJobDefinition(f"{name}: limit_by={limit_by!r} needs a limit= for each key")
        if rate is not None and not rate > 0:
            raise InvalidJobDefinition(f"{name}: rate={rate!r} must be above 0 jobs per second")
        if replicas < 1 or replicas == 2:
            raise InvalidJobDefinition(
                f"{name}: replicas={replicas!r} must be 1, or 3 or more: of two there is no majority"
            )
        if priority not in range(10):
            raise InvalidJobDefinition(f"{name}: priority={priority!r} must be from 0 (first) to 9 (last)")
        self._app = app
        self.function = function
        self.name = name
        self.bulkhead = bulkhead
        self.retry = retry
        self.timeout = timeout
        self.breaker = breaker
        self.limit = limit
        self.limit_by = limit_by
        self.rate = rate
        self.replicas = replicas
        self.auto_replay = AutoReplay.of(auto_replay, name, breaker)
        self.priority = priority
        self.state = state or StatePolicy()
        self.signature = Signature(function, name, JobContext)
        # Its name, documentation and signature. Never its own attributes: one called ``retry`` would become the task's.
        functools.update_wrapper(self, function, updated=())

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function in this process; nothing is submitted."""
        result: R = self.function(*args, **kwargs)
        return result

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Submit a job and return its handle.

        Raises:
            InvalidArguments: An argument is missing, unexpected or of the wrong type; nothing was written.
            Unserialisable: An argument has no faithful JSON form; nothing was written.
            BulkheadFull: The bulkhead's ``max_depth`` is reached; nothing was written.
            LedgerUnavailable: The ledger cannot be reached; nothing was written.
        """
        return self.options().submit(*args, **kwargs)

    def submit_many(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """Submit one job for each call and return their handles; see :meth:`Submission.submit_many`."""
        return self.options().submit_many(calls)

    def options(self, **options: Unpack[SubmitTypedOptions]) -> Submission[P, R]:
        """Return this task with options for the next submit; they are those of :class:`~perdure.SubmitOptions`.

        Raises:
            InvalidArguments: An option is unknown or its value not allowed.
            InvalidJobDefinition: The function is in the script that runs, where no worker finds it.
        """
        if self.name.startswith("__main__."):
            raise InvalidJobDefinition(
                f"{self.name}: its function is in the script that runs, which workers cannot import, so none would run it. "
                "Move it to a module of its own, import it from there and start the workers with -A MODULE; or, if workers "
                "import this file as a module, give the job a name= that is the same there"
            )
        try:
            return Submission(self._app, self, SubmitOptions(**options))
        except TypeError as error:
            if isinstance(error, InvalidArguments):
                raise
            allowed = ", ".join(SubmitOptions.__slots__)
            raise InvalidArguments(f"{self.name}.options(): {error}. Allowed: {allowed}") from None

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Submit a job: Celery's name for :meth:`submit`."""
        return self.submit(*args, **kwargs)

    def apply_async(
        self,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        countdown: float | None = None,
        eta: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        **options: Unpack[MoreOptions],
    ) -> JobHandle[R]:
        """Submit a job the way Celery's ``apply_async`` does.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            countdown: Seconds to wait; perdure's ``delay``.
            eta: The moment from which the job may run; perdure's ``run_at``.
            priority: 0 (first) to 9 (last).
            queue: A bulkhead, by its name or its queue's.
            options: perdure's own options.
        """
        bulkhead = queue.removeprefix("perdure.") if queue else None
        named = {"delay": countdown, "run_at": eta, "priority": priority, "bulkhead": bulkhead}
        given: Any = {name: value for name, value in named.items() if value is not None}
        return self.options(**given, **options).submit(*args, **(kwargs or {}))

    def __repr__(self) -> str:
        return f"<task {self.name} on {self.bulkhead}>"


class AsyncTask(Task[P, R]):
    """The task of a coroutine function: calling it gives a coroutine, as without perdure; its jobs' result is the value."""

    if TYPE_CHECKING:

        def __call__(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
            self, *args: P.args, **kwargs: P.kwargs
        ) -> Coroutine[Any, Any, R]:
            """Run the function in this process; nothing is submitted."""


def _yields(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


class Submission(Generic[P, R]):
    """A task with options, ready to be submitted."""

    def __init__(self, app: Perdure, task: Task[P, R], how: SubmitOptions) -> None:
        self._app = app
        self._task = task
        self._how = how

    def options(self, **options: Unpack[SubmitTypedOptions]) -> Submission[P, R]:
        """Return this submission with more options."""
        return Submission(self._app, self._task, replace(self._how, **options))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Submit a job and return its handle; see :meth:`Task.submit`.

        Raises:
            IdempotencyConflict: The idempotency key belongs to a job with other arguments.
        """
        return JobHandle.accepted(self._app, self._app.submitter.submit(self._task, args, kwargs, self._how))

    delay = submit

    def submit_many(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """Submit one job for each call and return their handles.

        Args:
            calls: For each job a tuple of positional arguments, a dict of keyword arguments, or a single argument. Any
                iterable: it is read in chunks, and each chunk is written by one statement.
        """
        accepted = self._app.submitter.submit_many(self._task, calls, self._how)
        return [JobHandle.accepted(self._app, one) for one in accepted]

"""A task: a function that jobs run, and how they are submitted."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack

from msgspec.structs import asdict

from perdure.errors import InvalidArguments, InvalidJobDefinition
from perdure.model.job_options import Call, SubmitOptions
from perdure.model.signature import Signature
from perdure.model.task_spec import TaskSpec
from perdure.submit.handle import JobHandle

if TYPE_CHECKING:
    from perdure.submit.submitter import Submitter
    from perdure.submit.typed_options import MoreOptions, SubmitTypedOptions

P = ParamSpec("P")
R = TypeVar("R")


class Task(TaskSpec, Generic[P, R]):
    """What ``@app.job`` makes of a function. Calling it runs the function here and now, as without perdure.

    Args:
        submitter: Takes its jobs.
        function: The function.
        declared: What else :class:`~perdure.model.task_spec.TaskSpec` has.

    Raises:
        InvalidJobDefinition: The function or an option cannot be used.
    """

    def __init__(self, submitter: Submitter, function: Callable[..., Any], **declared: Any) -> None:
        name = declared["name"]
        if not inspect.isfunction(function) or _yields(function):
            raise InvalidJobDefinition(f"{name}: a job must be a function or coroutine function, not {function!r}")
        super().__init__(signature=Signature(function, name), **declared)
        self._submitter = submitter
        self.function = function
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

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """Return one call for :meth:`submit_many`; :meth:`Submission.call` gives it options of its own."""
        return Call(self.name, args, kwargs, SubmitOptions())

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
            return Submission(self._submitter, self, SubmitOptions(**options))
        except TypeError as error:
            if isinstance(error, InvalidArguments):
                raise
            allowed = ", ".join(SubmitOptions.__struct_fields__)
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

    def __init__(self, submitter: Submitter, task: Task[P, R], how: SubmitOptions) -> None:
        self._submitter = submitter
        self._task = task
        self._how = how

    def options(self, **options: Unpack[SubmitTypedOptions]) -> Submission[P, R]:
        """Return this submission with more options."""
        both: Any = {**asdict(self._how), **options}  # made anew, since replace() of msgspec before 0.21 checks nothing
        return Submission(self._submitter, self._task, SubmitOptions(**both))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Submit a job and return its handle; see :meth:`Task.submit`.

        Raises:
            IdempotencyConflict: The idempotency key belongs to a job with other arguments.
        """
        return self._submitter.submit(self._task, args, kwargs, self._how)

    delay = submit

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """Return one call for ``submit_many`` that has these options: a key, a time, a priority of its own."""
        return Call(self._task.name, args, kwargs, self._how)

    def submit_many(self, calls: Iterable[Any]) -> list[JobHandle[R]]:
        """Submit one job for each call and return their handles; jobs of one priority wait in the order of the calls.

        Args:
            calls: For each job a tuple of positional arguments, a dict of keyword arguments, a single argument, or what
                :meth:`call` returned: its options win over those given here. Any iterable: it is read in chunks of 1,000,
                and all of a chunk is written or nothing. The next one is read while the last one is written.

        Raises:
            InvalidArguments: A call is wrong. Of this and the others, the error's notes say how many jobs were submitted
                before it.
            IdempotencyConflict: A call's idempotency key belongs to a job with other arguments.
            BulkheadFull: A bulkhead's ``max_depth`` is reached.
            LedgerUnavailable: The ledger cannot be reached.
        """
        return self._submitter.submit_many(self._task, calls, self._how)

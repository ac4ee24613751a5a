"""What ``@app.job(...)`` and ``@app.periodic(...)`` are, typed so that editors see a task's parameters and result."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from perdure.errors import InvalidJobDefinition
from perdure.submit.task import AsyncTask, Task

if TYPE_CHECKING:
    from perdure.running.context import JobContext
    from perdure.submit.periodic import Periodic
    from perdure.submit.typed_options import JobOptions

P = ParamSpec("P")
R = TypeVar("R")

#: Makes a task of a function and options.
Register = Callable[..., Task[..., Any]]


class JobDecorator:
    """Turns a function into a task; what ``app.job(...)`` returns."""

    def __init__(self, register: Register, options: JobOptions) -> None:
        self._register = register
        self._options = options

    @overload
    def __call__(self, function: Callable[Concatenate[JobContext, P], Coroutine[Any, Any, R]]) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[JobContext, P], R]) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any]) -> Any:
        """Register the function and return its task."""
        return self._register(function, **self._options)


class PeriodicDecorator:
    """Gives a task a schedule, and makes one of a function; what ``app.periodic(...)`` returns."""

    def __init__(
        self,
        job: Callable[..., JobDecorator],
        add_schedule: Callable[[Periodic], None],
        schedule: Callable[..., Periodic],
        options: JobOptions,
    ) -> None:
        self._job = job
        self._add_schedule = add_schedule
        self._schedule = schedule
        self._options = options

    @overload
    def __call__(self, job: AsyncTask[P, R]) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, job: Task[P, R]) -> Task[P, R]: ...  # type: ignore[overload-overlap] # a task is callable too
    @overload
    def __call__(self, job: Callable[Concatenate[JobContext, P], Coroutine[Any, Any, R]]) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, job: Callable[P, Coroutine[Any, Any, R]]) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, job: Callable[Concatenate[JobContext, P], R]) -> Task[P, R]: ...
    @overload
    def __call__(self, job: Callable[P, R]) -> Task[P, R]: ...
    def __call__(self, job: Any) -> Any:
        """Add the schedule and return the task."""
        if not isinstance(job, Task):
            task: Task[..., Any] = self._job(**self._options)(job)
            self._add_schedule(self._schedule(task))
            return task
        for option in self._options.keys() - {"name"}:
            raise InvalidJobDefinition(
                f"{job.name}: periodic({option}=...) is no option of a schedule; give it to @app.job"
            )
        self._add_schedule(self._schedule(job, name=self._options.get("name")))
        return job

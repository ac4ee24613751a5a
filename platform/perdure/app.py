"""The application: what ties settings, tasks, ledger and broker together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, cast, overload

from perdure.broker.flower_events import FlowerEvents
from perdure.errors import DuplicateTask, InvalidJobDefinition, UnknownTask, did_you_mean
from perdure.ledger import Ledger
from perdure.manage.cancelling import Canceller
from perdure.model.auto_replay import AutoReplay
from perdure.model.checkpoint_schema import StatePolicy
from perdure.model.events import EventBus
from perdure.model.retry_policy import RetryPolicy
from perdure.resilience.listeners import Listeners
from perdure.sealing import Vault
from perdure.settings.settings import Settings, load_settings
from perdure.submit.decorators import JobDecorator, PeriodicDecorator
from perdure.submit.handle import Handles
from perdure.submit.origin import Origin
from perdure.submit.submitter import Submitter
from perdure.submit.task import AsyncTask, Task
from perdure.system.fork_locks import once
from perdure.system.loading import uncollected

if TYPE_CHECKING:
    from celery import Celery

    from perdure.admission.limits import Limits
    from perdure.broker.bells import Bells
    from perdure.broker.event_pages import EventPages
    from perdure.faults.faults import Faults
    from perdure.manage.alerts.alerts import Alerts
    from perdure.manage.bulkheads import Bulkheads
    from perdure.manage.dead_letters.bulk_replay import ReplayReport
    from perdure.manage.dead_letters.dead_letters import DeadLetters
    from perdure.manage.health import Health
    from perdure.manage.jobs import Jobs
    from perdure.manage.metrics import Metrics
    from perdure.manage.primary_backup import Operation, PrimaryBackup
    from perdure.manage.schedules import Schedules
    from perdure.manage.scores import Scores
    from perdure.manage.workers import Workers
    from perdure.model.alerts.slo import Slo
    from perdure.model.tally import Tally
    from perdure.model.worker_health import WorkerEvent
    from perdure.resilience.breaker.breakers import Breakers
    from perdure.resilience.breaker.events import BreakerEvent
    from perdure.resilience.failover.groups import Failovers
    from perdure.resilience.limits.resource_pool import ResourcePool
    from perdure.resilience.service.service import Service
    from perdure.resilience.service.timeouts import Timeouts
    from perdure.running.checkpoint_storage import Storage
    from perdure.running.context import JobContext
    from perdure.submit.periodic import Missed, Periodic
    from perdure.submit.typed_options import JobOptions, SettingsGiven

logger = logging.getLogger("perdure.app")

P = ParamSpec("P")
R = TypeVar("R")
Resource = TypeVar("Resource")
Hook = TypeVar("Hook", bound="Callable[[WorkerEvent], object]")


class Perdure:
    """An application: its tasks, and the ledger and broker that their jobs go to.

    Args:
        settings: Settings by name; they win over the environment, ``perdure.toml`` and the embedded defaults.

    Raises:
        SettingsError: A setting is unknown or not allowed; the message names it, its source and what is.

    Nothing is connected to before it is needed, and connections never cross a fork.
    """

    def __init__(self, **settings: Unpack[SettingsGiven]) -> None:
        self.settings: Settings = load_settings(**settings)
        self.tasks: dict[str, Task[..., Any]] = {}
        self._origins: dict[str, Origin] = {}
        self.events = EventBus()
        self.breaker_events: Listeners[BreakerEvent] = Listeners()
        self.breaker_events.add(_log_breaker)
        url, durability = self.settings.effective_ledger_url, self.settings.ledger_durability
        self.ledger = Ledger(url, durability, Vault.of(self.settings), self.events, self.settings.release)
        self.flower_events = FlowerEvents(lambda: self.celery, self.ledger)
        self.events.subscribe(self.flower_events.hear, FlowerEvents.HEARD)
        self._canceller = Canceller(self.ledger)
        self._handles = Handles(self.ledger, self.tasks, self._canceller.cancel)
        self.submitter = Submitter(self.settings, self.ledger, lambda: self.bells, self._handles)
        self._services: dict[str, Service] = {}
        #: Primary-backup groups by name.
        self.groups: dict[str, PrimaryBackup[Any]] = {}
        if self.settings.faults_allowed:
            self.faults.let_act()

    @overload
    def job(self, function: Callable[Concatenate[JobContext, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def job(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def job(self, function: Callable[Concatenate[JobContext, P], R], /) -> Task[P, R]: ...
    @overload
    def job(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def job(self, function: None = None, /, **options: Unpack[JobOptions]) -> JobDecorator: ...
    def job(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Make a function a job; use it as ``@app.job`` or ``@app.job(...)``.

        Args:
            function: The function, when used without options.
            options: Those of :meth:`register`.

        Raises:
            InvalidJobDefinition: An option is unknown.
        """
        allowed = [*signature(self.register).parameters][1:]
        for option in options.keys() - set(allowed):
            hint = did_you_mean(option, allowed)
            raise InvalidJobDefinition(f"job({option}=...) is no option.{hint} Allowed: {', '.join(allowed)}")
        decorator = JobDecorator(self.register, cast("JobOptions", options))
        return decorator if function is None else decorator(function)

    def register(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        bulkhead: str | None = None,
        retry: str | RetryPolicy | None = None,
        timeout: float | None = None,
        breaker: str | None = None,
        limit: int | None = None,
        limit_by: str | None = None,
        rate: float | None = None,
        replicas: int = 1,
        auto_replay: AutoReplay | bool | None = None,
        priority: int = 5,
        state: StatePolicy | None = None,
    ) -> Task[..., Any]:
        """Register a function as a task and return the task.

        Args:
            function: The function; when its first parameter is annotated ``JobContext`` it gets its job's context.
            name: The task's name; ``module.function`` by default.
            bulkhead: Where its jobs run; the setting ``default_bulkhead`` by default.
            retry: A preset (``fast``, ``standard``, ``slow``, ``none``) or a policy; ``default_retry`` by default.
            timeout: Seconds that one attempt may run; None for no bound.
            breaker: The circuit breaker that guards its jobs.
            limit: Jobs that may run at once in all workers, or of each key of ``limit_by``; None for no bound.
            limit_by: The argument or tag that is the limit's key, such as ``tenant``.
            rate: Jobs that may start per second in all workers; None for no bound.
            replicas: Different workers that run each job; the result is that of the majority.
            auto_replay: True or an :class:`~perdure.AutoReplay`: replay the dead letters that its jobs leave when that
                breaker has closed again. By default they wait for a person.
            priority: 0 (first) to 9 (last) within the bulkhead.
            state: The shape of its checkpoints, and what becomes of one of another shape.

        Raises:
            InvalidJobDefinition: The function or an option cannot be used.
            UnknownBulkhead: There is no such bulkhead.
            DuplicateTask: Another function has that name: a second ``def``, lambda, or function of one factory. A module
                that is loaded again and a notebook's cell that is run again replace theirs; see
                :mod:`perdure.submit.origin`.
        """
        origin = Origin.of(function)
        task_name = name or origin.place
        known = self.tasks.get(task_name)
        if known is not None and not self._origins[task_name].is_made_anew_as(origin):
            raise DuplicateTask(
                f"task {task_name!r} is registered for {known.function!r} already; give another name= to {function!r}, "
                "which is another function"
            )
        where = bulkhead or self.settings.default_bulkhead
        self.settings.bulkhead(where)
        kind = AsyncTask if iscoroutinefunction(function) else Task
        task: Task[..., Any] = kind(
            self.submitter,
            function,
            name=task_name,
            bulkhead=where,
            retry=RetryPolicy.named(retry or self.settings.default_retry),
            timeout=timeout,
            breaker=breaker,
            limit=limit,
            limit_by=limit_by,
            rate=rate,
            replicas=replicas,
            auto_replay=AutoReplay.of(auto_replay, task_name, breaker),
            priority=priority,
            state=state or StatePolicy(),
        )
        if known is not None and known.function is not function:  # one that is made anew is given its schedules anew
            self.schedules.forget(task_name)
        self.tasks[task_name] = task
        self._origins[task_name] = origin
        if "celery" in self.__dict__:
            self._add_to(self.celery, task)
        return task

    def periodic(
        self,
        *,
        cron: str | None = None,
        every: float | None = None,
        tz: str | tzinfo | None = None,
        missed: Missed = "run_once",
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        jitter: float = 0.0,
        **options: Unpack[JobOptions],
    ) -> PeriodicDecorator:
        """Submit a job of a task at each tick of a schedule, exactly one however many supervisors there are.

        Put it on a function, or on a task: ``@app.periodic(every=30)`` above ``@app.job(...)``. A task may have several
        schedules, each further one with a ``name``.

        Args:
            cron: Minute, hour, day of month, month, day of week, such as ``*/5 8-17 * * MON-FRI``, ``@daily`` or the like;
                with six fields the first one is seconds. See :mod:`perdure.model.cron`.
            every: Seconds from one tick to the next; ticks are multiples of it since the epoch.
            tz: The time zone of ``cron``, such as ``Europe/Berlin``; UTC by default.
            missed: What happens to ticks that passed while no supervisor ran: ``run_once`` submits one job for the newest
                of them, ``skip`` none.
            args: Positional arguments of the jobs.
            kwargs: Keyword arguments of the jobs.
            jitter: Seconds within which a job starts after its tick, drawn for each.
            options: Above a task ``name``, the schedule's, which is unique within the task. On a function those of
                :meth:`register`, where ``name`` is the task's.

        Raises:
            InvalidJobDefinition: The schedule cannot be read, an option is unknown or belongs to ``@app.job``, or the task
                cannot be called with these arguments.
            DuplicateTask: The task has a schedule of that name already.
        """
        from perdure.submit.periodic import Periodic

        schedule = partial(
            Periodic.of, cron=cron, every=every, tz=tz, missed=missed, args=args, kwargs=kwargs, jitter=jitter
        )
        return PeriodicDecorator(self.job, self.add_schedule, schedule, options)

    def add_schedule(self, schedule: Periodic) -> None:
        """Run a task by a schedule; :meth:`periodic` is for functions and tasks of your own.

        Raises:
            DuplicateTask: There is one of its name.
        """
        self.schedules.add(schedule)

    def bulk_replay(self) -> Task[..., ReplayReport]:
        """Return the task that replays many dead letters, which is added at the first call."""
        from perdure.manage.dead_letters.bulk_replay import NAME as BULK_REPLAY
        from perdure.manage.dead_letters.bulk_replay import bulk_replay_by

        if BULK_REPLAY not in self.tasks:
            replay_letters = bulk_replay_by(lambda: self.dead_letters.replayer, self.ledger.letters)
            self.register(replay_letters, name=BULK_REPLAY, bulkhead="background", retry="slow", priority=3)
        return self.tasks[BULK_REPLAY]

    def on_node_failure(self, hook: Hook) -> Hook:
        """Call a function with the :class:`~perdure.model.worker_health.WorkerEvent` of each worker that is found dead.

        It is called once, in the process that found it out: a supervisor or another worker. Usable as a decorator.
        """
        self.workers.subscribe(lambda event: hook(event) if event.is_failure else None)
        return hook

    def on_node_recovery(self, hook: Hook) -> Hook:
        """Call a function with the event of each worker that is back: it beats again, or has been started anew.

        It is called once, in that worker's process. Usable as a decorator.
        """
        self.workers.subscribe(lambda event: hook(event) if event.is_recovery else None)
        return hook

    def task(self, name: str) -> Task[..., Any]:
        """Return a task by its name.

        Raises:
            UnknownTask: There is no such task; the message names the closest.
        """
        if name not in self.tasks:
            raise UnknownTask(name, self.tasks)
        return self.tasks[name]

    @once
    def tally(self) -> Tally:
        """What this process has counted and its worker or supervisor has not written yet."""
        from perdure.model.tally import Tally

        return Tally()

    @once
    def storage(self) -> Storage:
        """Where checkpoints are kept."""
        from perdure.running.checkpoint_storage import storage_of

        return storage_of(self.settings, self.ledger, self.tally)

    @once
    def schedules(self) -> Schedules:
        """Periodic jobs, by the names under which the ledger remembers their ticks."""
        from perdure.manage.schedules import Schedules

        return Schedules(self.settings, self.tasks, self.ledger, self.submitter)

    @once
    def jobs(self) -> Jobs:
        """The jobs that the ledger remembers: finding, cancelling, why one does not run."""
        from perdure.manage.jobs import Jobs

        return Jobs(
            self.ledger,
            self._handles,
            self._canceller,
            lambda: self.bells,
            bulkheads=self.settings.bulkheads,
            limits=lambda: self.limits,
            breakers=lambda: self.breakers,
            max_outvoted=self.settings.max_outvoted,
        )

    @once
    def dead_letters(self) -> DeadLetters:
        """What is left of jobs that died: finding, replaying, resolving."""
        from perdure.manage.dead_letters.dead_letters import DeadLetters
        from perdure.manage.dead_letters.replayer import Replayer

        replayer = Replayer(self.settings, self.tasks, self.ledger, self.submitter, lambda: self.breakers)
        return DeadLetters(self.ledger, replayer, self._handles, self.bulk_replay, self.tasks)

    @once
    def bulkheads(self) -> Bulkheads:
        """The bulkheads by name, and what is in them."""
        from perdure.manage.bulkheads import Bulkheads

        return Bulkheads(self.settings, self.ledger, lambda: self.bells)

    @once
    def workers(self) -> Workers:
        """The workers that the ledger knows."""
        from perdure.manage.workers import Workers

        return Workers(self.ledger, self.settings.max_outvoted)

    @once
    def health(self) -> Health:
        """Checks of the platform, and those that the application adds."""
        from perdure.manage.platform_checks import platform_health

        return platform_health(self.settings, self.ledger, lambda: self.breakers, lambda: self.celery, lambda: self.faults)

    @once
    def scores(self) -> Scores:
        """How well tasks and bulkheads do lately."""
        from perdure.manage.scores import Scores

        return Scores(self.settings, self.ledger, lambda: self.breakers)

    @once
    def metrics(self) -> Metrics:
        """What is measured of the platform."""
        from perdure.manage.metrics import Metrics, Sources

        return Metrics(
            Sources(
                self.ledger,
                bulkheads=self.settings.bulkheads,
                breakers=lambda: self.breakers,
                failovers=lambda: self.failover,
                services=lambda: [self.service(name) for name in self.settings.resilience.services],
                tasks=lambda: {task.name: task.bulkhead for task in self.tasks.values()},
                faults=lambda: self.faults.list() if self.settings.faults_allowed else (),
            )
        )

    @once
    def breakers(self) -> Breakers:
        """The circuit breakers by name; ``app.breaker_events.add(listener)`` tells of what happens to them here."""
        from perdure.admission.breakers import breakers_of, count_breaker

        self.breaker_events.add(partial(count_breaker, self.tally))
        return breakers_of(self.settings, self.breaker_events.emit)

    @once
    def failover(self) -> Failovers:
        """The failover groups by name: ``app.failover["mail"]``, or ``app.failover.add("mail", [Member(...), ...])``."""
        from perdure.admission.failovers import failovers_of

        return failovers_of(self.settings, self.tally)

    @once
    def timeouts(self) -> Timeouts:
        """The timeouts of named operations, as the settings want them: ``app.timeouts["report"].call(fn)``."""
        from perdure.admission.timeouts import timeouts_of

        return timeouts_of(self.settings)

    def pool(self, name: str, create: Callable[[], Resource], **parts: Any) -> ResourcePool[Resource]:
        """Return a pool of costly things, bounded as ``[resilience.pools.NAME]`` says, else by the defaults.

        Args:
            name: The pool.
            create: Makes a resource.
            parts: ``validate=`` and ``close=`` of :class:`~perdure.resilience.limits.resource_pool.ResourcePool`.
        """
        from perdure.resilience.limits.resource_pool import ResourcePool

        return ResourcePool(name, create, self.settings.resilience.pools.get(name), **parts)

    @once
    def limits(self) -> Limits:
        """How many jobs may run at once and start per second."""
        from perdure.admission.limits import Limits

        return Limits(self.settings, self.tasks, self.ledger)

    def service(self, name: str, **parts: Any) -> Service:
        """Return the service of that name, protected as ``[resilience.services.NAME]`` says, else by the defaults.

        Its breaker is ``app.breakers[name]``. Within a job no call takes longer than the job has left.

        Args:
            name: The service.
            parts: ``secondaries=``, ``default=`` and ``key=`` of
                :class:`~perdure.resilience.service.service.Service`, for the first call.

        Raises:
            SettingsError: Its settings are not allowed; the message names the one that is not.
        """
        found = self._services.get(name)
        if found is None or parts:
            from perdure.admission.services import service_of

            found = self._services[name] = service_of(self.settings, self.breakers, self.tally, name, parts)
        return found

    def primary_backup(
        self,
        name: str,
        members: Mapping[str, Any],
        run: Callable[[Any, Operation], Any],
        apply: Callable[[Any, Operation, Any], object] | None = None,
        **more: Any,
    ) -> PrimaryBackup[Any]:
        """Define a group of members that do the same: operations run on its primary and are copied to the others.

        See :class:`~perdure.manage.primary_backup.PrimaryBackup`, which says what the arguments are. ``app.groups[name]``
        is the group from then on.
        """
        from perdure.manage.primary_backup import PrimaryBackup

        self.groups[name] = PrimaryBackup(self.register, self.ledger, self.submitter, name, members, run, apply, **more)
        return self.groups[name]

    @once
    def alerts(self) -> Alerts:
        """What people should know: rules, what fires, silences, who is told."""
        from perdure.manage.alerts.alerts import Alerts
        from perdure.manage.alerts.facts import Sources

        return Alerts(Sources(self.settings, self.ledger, self.health, lambda: self.breakers, lambda: list(self.schedules)))

    def slo(
        self, name: str, *, task: str, within: float | None = None, target: float = 0.999, window: float = 30 * 86_400.0
    ) -> Slo:
        """Set an objective for a task's jobs and return it; alerts tell when its error budget burns too fast.

        Args:
            name: Its name.
            task: The task.
            within: Seconds from when a job could run, or was submitted if it had to run again, to its success; None when
                its success alone counts.
            target: The part of the jobs that has to be good, such as 0.999.
            window: Seconds over which it is judged, 1 to 90 days.

        Raises:
            SettingsError: A number is not possible.
        """
        from perdure.model.alerts.slo import Slo

        return self.alerts.add_slo(Slo(name, task, within, target, window))

    @once
    def faults(self) -> Faults:
        """Faults that are injected on purpose, where the setting ``faults_allowed`` allows any."""
        from perdure.admission.injected import faults_of

        return faults_of(self.settings, self.tally, self.tasks)

    @once
    def celery(self) -> Celery:
        """The real Celery application; its workers are started by ``perdure worker``."""
        from perdure.broker.celery_app import build_celery

        celery = build_celery(self.settings)
        for task in self.tasks.values():
            self._add_to(celery, task)
        return celery

    @once
    def bells(self) -> Bells:
        """What tells workers that there is work."""
        with uncollected():
            from perdure.broker.bells import Bells

        settings = self.settings
        return Bells(settings.effective_broker_url, lambda: self.celery, settings.broker_key_prefix)

    @once
    def event_pages(self) -> EventPages:
        """What tells monitors of Celery what a worker's children do."""
        from perdure.broker.event_pages import EventPages

        return EventPages(self.settings.effective_broker_url, self.celery, self.settings.broker_key_prefix)

    def close(self) -> None:
        """Close this process' connections to ledger and broker; no fault that was injected acts here any more."""
        if "faults" in self.__dict__:
            self.faults.stop()
        self.ledger.close()
        if "celery" in self.__dict__:
            self.celery.close()
            del self.__dict__["celery"]

    @staticmethod
    def _add_to(celery: Celery, task: Task[..., Any]) -> None:
        from perdure.broker.celery_app import add_task

        add_task(celery, task.name, task.function.__doc__)


def _log_breaker(event: BreakerEvent) -> None:
    if event.change is not None:
        logger.warning(
            "breaker %s: %s -> %s: %s", event.name, event.change.from_state, event.change.to_state, event.change.reason
        )

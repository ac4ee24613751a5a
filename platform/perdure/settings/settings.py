"""Settings: arguments > ``PERDURE_*`` environment > ``perdure.toml`` > embedded defaults in the home folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from perdure.errors import SettingsError, UnknownBulkhead
from perdure.model.clock import LONGEST_DELAY
from perdure.model.job_log import LogBounds
from perdure.model.setting_problems import explained
from perdure.model.text.masked_url import masked_url
from perdure.resilience.redis.address import RedisAddress, is_redis
from perdure.resilience.redis.keys import DEFAULT_PREFIX
from perdure.settings import rules
from perdure.settings.alert_settings import AlertSettings, SloSettings
from perdure.settings.alert_settings import names_beside as names_beside_in_alerts
from perdure.settings.amqp_url import amqp_urls
from perdure.settings.drill_settings import Targets
from perdure.settings.home import Home
from perdure.settings.ledger_url import for_sqlalchemy
from perdure.settings.sources import Source, from_environment, from_file, merged, place_of
from perdure.system.upward import nearest

CONFIG_FILE = "perdure.toml"
DEFAULT_HOME = ".perdure"
WEEK = 7 * 24 * 3600.0

#: Ends of the names of settings that are never shown.
_SECRET = ("_password", "_secret", "_keys")

Seconds = Annotated[float, Field(gt=0, le=LONGEST_DELAY)]
#: Below this a worker would do little else than beat.
Beat = Annotated[float, Field(ge=0.05, le=LONGEST_DELAY)]

LedgerUrl = Annotated[str, AfterValidator(rules.ledger_url)]
BrokerUrl = Annotated[str, AfterValidator(rules.broker_url)]
RedisUrl = Annotated[str, AfterValidator(rules.redis_url)]
FolderUrl = Annotated[str, AfterValidator(rules.folder_url)]
RetryPreset = Annotated[str, AfterValidator(rules.retry_preset)]
Keys = Annotated[str, AfterValidator(rules.keys)]


class BulkheadSettings(BaseModel):
    """One bulkhead: a queue with worker processes of its own.

    Args:
        concurrency: Worker children of one worker.
        max_depth: Jobs that may wait in ``queued``; None for no bound.
        overflow: What submit does at ``max_depth``: refuse with ``BulkheadFull``, or wait for room.
        overflow_timeout: Seconds that a submit waits for room before it refuses.
        limit: Jobs that may run at once across all workers; None for no bound.
        rate: Jobs that may start per second across all workers; None for no bound.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    concurrency: int = Field(default=4, ge=1, le=1000)
    max_depth: int | None = Field(default=None, ge=1)
    overflow: Literal["reject", "wait"] = "reject"
    overflow_timeout: Seconds = 10.0
    limit: int | None = Field(default=None, ge=1)
    rate: Seconds | None = None


def _breaker(given: Any) -> Any:
    from perdure.resilience.service.service_settings import (  # here: few applications set any
        as_breaker_config,
        now_or_later,
    )

    return now_or_later(as_breaker_config, given)


def _service(given: Any) -> Any:
    from perdure.resilience.service.service_settings import as_service_config, now_or_later

    return now_or_later(as_service_config, given)


def _failover(given: Any) -> Any:
    from perdure.resilience.service.service_settings import as_failover_settings, now_or_later

    return now_or_later(as_failover_settings, given)


def _pool(given: Any) -> Any:
    from perdure.resilience.service.service_settings import as_pool_config

    return as_pool_config(given)


class ResilienceSettings(BaseModel):
    """Protection of what jobs call, by name; ``docs/resilience.md`` says what each table may hold.

    Args:
        breakers: Circuit breakers, ``[resilience.breakers.NAME]``.
        services: Services, ``[resilience.services.NAME]``: timeout, retry, breaker, rate, permits and fallback of one.
        failover: Failover groups, ``[resilience.failover.NAME]``: when they switch, and their members' addresses.
        pools: Bounds of resource pools, ``[resilience.pools.NAME]``, or the name of a preset.
        timeouts: Seconds of named operations, ``[resilience.timeouts]``; ``default`` is for those that are not named.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    breakers: dict[str, Annotated[Any, PlainValidator(_breaker)]] = Field(default_factory=dict)
    services: dict[str, Annotated[Any, PlainValidator(_service)]] = Field(default_factory=dict)
    failover: dict[str, Annotated[Any, PlainValidator(_failover)]] = Field(default_factory=dict)
    pools: dict[str, Annotated[Any, PlainValidator(_pool)]] = Field(default_factory=dict)
    timeouts: dict[str, Seconds] = Field(default_factory=dict)


#: Settings that hold tables or lists; a variable may hold them as JSON.
TABLES = ("bulkheads", "resilience", "alerts", "slos", "drills", "checkpoint_store", "flower_viewers")

DEFAULT_BULKHEADS: dict[str, dict[str, Any]] = {
    "critical": {"concurrency": 10},
    "normal": {"concurrency": 5},
    "background": {"concurrency": 3},
}


class Settings(BaseModel):
    """All settings of one application. Times are in seconds.

    Args:
        home: The folder of the embedded servers' data and of what ``perdure up`` runs.
        app: Where the application is, as ``module:attribute``, for commands without ``-A``.
        ledger_url: The ledger's database, SQLite or PostgreSQL; by default a SQLite file in the home folder.
        broker_url: Celery's broker; by default the embedded Redis of the home folder.
        redis_url: The Redis of breakers, limits and services; by default the broker.
        redis_prefix: What all keys of this application begin with.
        ledger_durability: What a commit to a SQLite ledger survives: ``normal`` the death of every process, ``full`` a
            power cut as well.
        default_bulkhead: Where tasks run that name no bulkhead.
        default_retry: The retries of tasks that name none: ``fast``, ``standard``, ``slow`` or ``none``.
        bulkheads: Bulkheads by name, besides ``critical``, ``normal`` and ``background``.
        resilience: Circuit breakers and services by name.
        alerts: Rules of alerts, and who is told.
        slos: Objectives by name, ``[slos.NAME]``, besides those that the application sets by ``app.slo()``.
        drills: What each drill has to reach, ``[drills.NAME]``; see ``docs/drills.md``.
        idempotency_ttl: How long a second submit with the same key returns the first job.
        heartbeat_interval: Time between two heartbeats of a worker.
        missed_heartbeats: Heartbeats that a worker may miss before its lease is over.
        max_crashes: Crashes of its process after which a job is a dead letter.
        max_outvoted: Votes that a worker may lose before it takes part in no more of them; by default any number.
        drain_timeout: How long a worker that is told to stop waits for its jobs before it hands them back.
        max_hand_backs: Drains that cut a job short, with nothing of its work kept, after which it is a dead letter.
        cancel_grace: How long a cancelled job gets to stop by itself before its process is ended.
        unknown_task_ttl: How long a job waits for a worker that knows its task before it is a dead letter.
        queue_age_limit: How long a job may wait for its turn before health checks complain.
        score_window: For how long back tasks and bulkheads have a score.
        score_minimum_calls: Attempts below which a score is 1, because they say nothing.
        retention: How long jobs that ended are remembered.
        dead_retention: How long dead letters that were dealt with are remembered, and jobs that died.
        partition_period: On PostgreSQL, how much time each partition of history holds. Jobs that succeeded move there
            within hours, and go with it when the last of them is older than ``retention``. By default there are none.
        progress_interval: Shortest time between two writes of a job's progress.
        checkpoint_store: Where checkpoints are kept: ``sql``, a Redis, a folder or an object store, or a list of three or
            more of them, which keep copies.
        checkpoint_quorum: Copies that must be written; by default more than half.
        checkpoint_timeout: How long a store of several is waited for.
        checkpoint_interval: Time after which a loop saves its position.
        checkpoint_max_bytes: Largest checkpoint, in bytes.
        checkpoint_secret: Signs checkpoints, so that a store that lies is found out.
        blob_store: Where large arguments, results and checkpoints go: a folder or an fsspec URL; by default nowhere.
        offload_threshold: Bytes from which on they do.
        blob_retention: How long what nothing refers to any more stays there. Longer than any transaction that submits is
            open.
        encryption_keys: Keys as ``id:base64,...``, the sealing one first, with which they are sealed.
        encryption_accept_plain: Whether values are read that are not sealed although there are keys.
        release: The application's release, by which faults that come back are known; by default the commit that git has
            checked out in the current folder or above.
        log_level: The least important level that is logged.
        log_format: ``text``, or ``json`` for one JSON object a line.
        job_log_lines: Lines that are kept of what a job says by ``ctx.log``; 0 keeps none.
        job_log_bytes: Bytes that they may take.
        faults_allowed: Whether faults may be injected here on purpose (``perdure faults``). Never where users would notice.
        http_port: TCP port of ``/livez``, ``/readyz``, ``/healthz`` and ``/metrics`` in each worker and supervisor; 0 takes
            any that is free, which ``perdure status --json`` shows. By default there are none.
        http_address: The address of that port.
        flower_port: Flower's TCP port.
        flower_user: The user who may change things.
        flower_password: That user's password; by default one that is made up and kept in the home folder.
        flower_viewers: Users who may only look, each with a password.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Path(DEFAULT_HOME)
    app: str | None = None
    ledger_url: LedgerUrl | None = None
    broker_url: BrokerUrl | None = None
    redis_url: RedisUrl | None = None
    redis_prefix: str = Field(default=DEFAULT_PREFIX, pattern=r"^[\w.:/-]{1,64}$")
    ledger_durability: Literal["normal", "full"] = "normal"
    default_bulkhead: str = "normal"
    default_retry: RetryPreset = "standard"
    bulkheads: dict[str, BulkheadSettings] = Field(default_factory=dict, validate_default=True)
    resilience: ResilienceSettings = Field(default_factory=ResilienceSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    slos: dict[str, SloSettings] = Field(default_factory=dict)
    drills: Targets = Field(default_factory=dict, validate_default=True)
    idempotency_ttl: Seconds = WEEK
    heartbeat_interval: Beat = 1.0
    missed_heartbeats: int = Field(default=5, ge=2)
    max_crashes: int = Field(default=3, ge=1)
    max_outvoted: int | None = Field(default=None, ge=1)
    drain_timeout: Seconds = 30.0
    max_hand_backs: int = Field(default=10, ge=1)
    cancel_grace: Seconds = 10.0
    unknown_task_ttl: Seconds = 3600.0
    queue_age_limit: Seconds = 300.0
    score_window: Seconds = 300.0
    score_minimum_calls: int = Field(default=10, ge=1)
    retention: Seconds = WEEK
    dead_retention: Seconds = 26 * WEEK
    partition_period: float | None = Field(default=None, ge=60.0, le=LONGEST_DELAY)
    progress_interval: Seconds = 0.5
    checkpoint_store: str | list[str] = "sql"
    checkpoint_quorum: int | None = Field(default=None, ge=1)
    checkpoint_timeout: Seconds = 2.0
    checkpoint_interval: Seconds = 2.0
    checkpoint_max_bytes: int = Field(default=16 * 1024 * 1024, ge=1)
    checkpoint_secret: str | None = Field(default=None, min_length=16, max_length=64)
    blob_store: FolderUrl | None = None
    offload_threshold: int = Field(default=256 * 1024, ge=1024)
    blob_retention: Seconds = Field(default=WEEK, ge=3600.0)
    encryption_keys: Keys | None = None
    encryption_accept_plain: bool = False
    release: str | None = Field(default=None, min_length=1, max_length=255)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    job_log_lines: int = Field(default=200, ge=0, le=10_000)
    job_log_bytes: int = Field(default=64 * 1024, ge=1024, le=16 * 1024 * 1024)
    faults_allowed: bool = False
    http_port: int | None = Field(default=None, ge=0, le=65535)
    http_address: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=0, le=65535)
    flower_user: str = "perdure"
    flower_password: str | None = None
    flower_viewers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _that_fit_together(self) -> Self:
        stores = [self.checkpoint_store] if isinstance(self.checkpoint_store, str) else self.checkpoint_store
        checks: dict[str, Callable[[], object]] = {
            "redis_url": lambda: rules.redis_beside(self.broker_url, self.redis_url),
            "default_bulkhead": lambda: rules.bulkhead(self.default_bulkhead, self.bulkheads),
            "checkpoint_store": lambda: rules.checkpoint_stores(stores),
            "partition_period": lambda: rules.partitions(self.effective_ledger_url, self.partition_period),
            "checkpoint_quorum": lambda: rules.quorum(len(stores), self.checkpoint_quorum),
        }
        problems = [found for name, check in checks.items() if (found := _problem(name, getattr(self, name), check))]
        if problems:
            raise ValidationError.from_exception_data("Settings", problems)
        return self

    @field_validator("flower_user", "flower_viewers")
    @classmethod
    def _without_colon(cls, value: Any) -> Any:
        for name in [value] if isinstance(value, str) else value:
            if ":" in name:
                raise ValueError(f"the user's name {name!r} must have no colon: basic auth ends it there")
        return value

    @field_validator("bulkheads", mode="before")
    @classmethod
    def _with_default_bulkheads(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        merged: dict[str, Any] = {name: dict(default) for name, default in DEFAULT_BULKHEADS.items()}
        for name, given in value.items():
            fields = given.model_dump(exclude_unset=True) if isinstance(given, BaseModel) else given
            merged[name] = {**merged.get(name, {}), **fields} if isinstance(fields, Mapping) else fields
        return merged

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if name and name.endswith(_SECRET) and value:
                yield name, "***"
            elif name == "flower_viewers":
                yield name, dict.fromkeys(value, "***")
            else:
                yield name, _masked(value)

    __str__ = BaseModel.__repr__

    @property
    def home_folder(self) -> Home:
        """The folder of the embedded servers' data and of what `perdure up` runs."""
        return Home(self.home)

    @property
    def is_embedded(self) -> bool:
        """Whether the ledger is the one in the home folder."""
        return self.ledger_url is None

    def bulkhead(self, name: str) -> BulkheadSettings:
        """Return what is set for a bulkhead.

        Raises:
            UnknownBulkhead: There is no such bulkhead.
        """
        if name not in self.bulkheads:
            raise UnknownBulkhead(name, self.bulkheads)
        return self.bulkheads[name]

    def before_submit(self) -> None:
        """Make the home folder if it is to hold what jobs need, and warn when nothing has ever run them there."""
        if self.broker_url is None:
            with suppress(OSError):  # who cannot make it cannot write its ledger either, and says so better
                self.home_folder.ensure()
        if self.is_embedded:
            self.home_folder.warn_unless_started()

    @property
    def effective_ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL; embedded SQLite by default."""
        return for_sqlalchemy(self.ledger_url) if self.ledger_url else self.home_folder.ledger_url

    @property
    def effective_broker_url(self) -> str:
        """The broker's URL; the embedded Redis by default."""
        return self.broker_url or self.home_folder.redis_url

    @property
    def celery_broker_url(self) -> str:
        """The broker's URL as Celery's transports read it."""
        url = self.effective_broker_url
        return RedisAddress.parse(url).kombu_url if is_redis(url) else ";".join(amqp_urls(url))

    @property
    def celery_broker_options(self) -> dict[str, Any]:
        """What Celery's transport needs beside the URL."""
        url = self.effective_broker_url
        if not is_redis(url):
            return {"max_retries": len(amqp_urls(url)) - 1}  # each node is tried once, and none waited for
        return RedisAddress.parse(url).kombu_options | {"global_keyprefix": self.broker_key_prefix}

    @property
    def broker_key_prefix(self) -> str:
        """What begins each of Celery's keys in Redis: nothing, unless ``redis_prefix`` sets this application apart."""
        return "" if self.redis_prefix == DEFAULT_PREFIX else self.redis_prefix

    @property
    def effective_redis_url(self) -> str:
        """The Redis of breakers and permits; the broker's by default."""
        return self.redis_url or self.effective_broker_url

    @property
    def log_bounds(self) -> LogBounds:
        """How much is kept of what a job says by ``ctx.log``; what the worker's own log takes is kept in any case."""
        level = min(logging.INFO, logging.getLevelNamesMapping()[self.log_level])
        return LogBounds(self.job_log_lines, self.job_log_bytes, level if self.job_log_lines else logging.CRITICAL + 1)

    @property
    def lease_ttl(self) -> float:
        """Seconds without a heartbeat after which a worker has lost its lease."""
        return self.heartbeat_interval * self.missed_heartbeats


def load_settings(**arguments: Any) -> Settings:
    """Return the settings of this process.

    Args:
        arguments: Settings by name; they win over all other sources. None counts as not given.

    Raises:
        SettingsError: A setting is unknown or not allowed; the message names it, its source and what is allowed.
    """
    file = from_file(nearest(CONFIG_FILE) or Path(CONFIG_FILE).resolve())
    environment = from_environment({name: name in TABLES for name in Settings.model_fields}, file.values)
    given = {name: value for name, value in arguments.items() if value is not None}
    home = nearest(DEFAULT_HOME)
    found = Source("the folders above", {} if home is None else {"home": home})
    sources = [Source("an argument of Perdure()", given), environment, file, found]
    try:
        return Settings(**merged(sources))
    except ValidationError as error:
        raise SettingsError(_explain(error, sources)) from None


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return masked_url(value) if isinstance(value, str) else value


def _problem(name: str, value: Any, check: Callable[[], object]) -> InitErrorDetails | None:
    try:
        check()
    except ValueError as error:
        # The text is an argument: braces in it would be taken for places to fill in.
        return InitErrorDetails(type=PydanticCustomError("setting", "{why}", {"why": str(error)}), loc=(name,), input=value)
    return None


def _explain(error: ValidationError, sources: list[Source]) -> str:
    lines = []
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"])
        what = explained(problem, path, _names_beside(path), hidden=_is_secret(path))
        lines.append(f"{what} (from {place_of(sources, path)})")
    return "; ".join(lines)


def _is_secret(path: tuple[str, ...]) -> bool:
    words = ("password", "secret", "url", "keys", "store", "flower_viewers", "routing_key")
    return any(word in ".".join(path) for word in words)


def _names_beside(path: tuple[str, ...]) -> Iterable[str]:
    if len(path) == 1:
        return Settings.model_fields
    if path[0] == "alerts":
        return names_beside_in_alerts(path[1:])
    if path[0] == "slos":
        return SloSettings.model_fields
    if path[0] != "resilience":
        return BulkheadSettings.model_fields
    if len(path) == 2:
        return ResilienceSettings.model_fields
    from perdure.resilience.service.service_settings import names_beside

    return names_beside(path[1:])

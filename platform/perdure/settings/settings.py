"""Settings: arguments > ``PERDURE_*`` environment > ``perdure.toml`` > embedded defaults in the home folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from perdure.errors import SettingsError, UnknownBulkhead
from perdure.model.clock import LONGEST_DELAY
from perdure.model.setting_problems import Problem, WrongSettings
from perdure.model.setting_types import After, Before, given_of, table
from perdure.model.text.masked_url import masked_url
from perdure.resilience.redis.address import RedisAddress, is_redis
from perdure.resilience.redis.keys import DEFAULT_PREFIX
from perdure.settings import rules
from perdure.settings.alert_settings import AlertSettings, SloSettings
from perdure.settings.amqp_url import amqp_urls
from perdure.settings.drill_settings import Targets, default_targets
from perdure.settings.home import Home
from perdure.settings.ledger_url import for_sqlalchemy
from perdure.settings.sources import Source, from_environment, from_file, merged, place_of
from perdure.system.upward import nearest

if TYPE_CHECKING:
    from perdure.model.job_log import LogBounds

CONFIG_FILE = "perdure.toml"
DEFAULT_HOME = ".perdure"
WEEK = 7 * 24 * 3600.0

#: Ends of the names of settings that are never shown.
_SECRET = ("_password", "_secret", "_keys")

Seconds = Annotated[float, Meta(gt=0, le=LONGEST_DELAY)]
#: Below this a worker would do little else than beat.
Beat = Annotated[float, Meta(ge=0.05, le=LONGEST_DELAY)]

LedgerUrl = Annotated[str, After(rules.ledger_url)]
BrokerUrl = Annotated[str, After(rules.broker_url)]
RedisUrl = Annotated[str, After(rules.redis_url)]
FolderUrl = Annotated[str, After(rules.folder_url)]
RetryPreset = Annotated[str, After(rules.retry_preset)]
Keys = Annotated[str, After(rules.keys)]


class BulkheadSettings(msgspec.Struct, kw_only=True):
    """One bulkhead: a queue with worker processes of its own.

    Args:
        concurrency: Worker children of one worker.
        max_depth: Jobs that may wait in ``queued``; None for no bound.
        overflow: What submit does at ``max_depth``: refuse with ``BulkheadFull``, or wait for room.
        overflow_timeout: Seconds that a submit waits for room before it refuses.
        limit: Jobs that may run at once across all workers; None for no bound.
        rate: Jobs that may start per second across all workers; None for no bound.
    """

    concurrency: Annotated[int, Meta(ge=1, le=1000)] = 4
    max_depth: Annotated[int, Meta(ge=1)] | None = None
    overflow: Literal["reject", "wait"] = "reject"
    overflow_timeout: Seconds = 10.0
    limit: Annotated[int, Meta(ge=1)] | None = None
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


class ResilienceSettings(msgspec.Struct, kw_only=True):
    """Protection of what jobs call, by name; ``docs/resilience.md`` says what each table may hold.

    Args:
        breakers: Circuit breakers, ``[resilience.breakers.NAME]``.
        services: Services, ``[resilience.services.NAME]``: timeout, retry, breaker, rate, permits and fallback of one.
        failover: Failover groups, ``[resilience.failover.NAME]``: when they switch, and their members' addresses.
        pools: Bounds of resource pools, ``[resilience.pools.NAME]``, or the name of a preset.
        timeouts: Seconds of named operations, ``[resilience.timeouts]``; ``default`` is for those that are not named.
    """

    breakers: dict[str, Annotated[Any, Before(_breaker)]] = msgspec.field(default_factory=dict)
    services: dict[str, Annotated[Any, Before(_service)]] = msgspec.field(default_factory=dict)
    failover: dict[str, Annotated[Any, Before(_failover)]] = msgspec.field(default_factory=dict)
    pools: dict[str, Annotated[Any, Before(_pool)]] = msgspec.field(default_factory=dict)
    timeouts: dict[str, Seconds] = msgspec.field(default_factory=dict)


DEFAULT_BULKHEADS: dict[str, dict[str, Any]] = {
    "critical": {"concurrency": 10},
    "normal": {"concurrency": 5},
    "background": {"concurrency": 3},
}


def default_bulkheads() -> dict[str, BulkheadSettings]:
    """Return the bulkheads that there are unless settings change them."""
    return {name: BulkheadSettings(**values) for name, values in DEFAULT_BULKHEADS.items()}


def _with_default_bulkheads(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    merged: dict[str, Any] = {name: dict(default) for name, default in DEFAULT_BULKHEADS.items()}
    for name, given in value.items():
        merged[name] = {**merged.get(name, {}), **given} if isinstance(given, Mapping) else given
    return merged


def _without_colon(value: Any) -> Any:
    for name in [value] if isinstance(value, str) else value:
        if ":" in name:
            raise ValueError(f"the user's name {name!r} must have no colon: basic auth ends it there")
    return value


Bulkheads = Annotated[dict[str, BulkheadSettings], Before(_with_default_bulkheads)]

#: Settings that hold tables or lists; a variable may hold them as JSON.
TABLES = ("bulkheads", "resilience", "alerts", "slos", "drills", "checkpoint_store", "flower_viewers")


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """All settings of one application. Times are in seconds.

    Args:
        home: The folder of the embedded servers' data and of what ``perdure up`` runs; by default ``.perdure`` here, or in
            the nearest folder above that has one.
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
            within minutes, and go with it when the last of them is older than ``retention``. By default there are none.
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

    home: Path | None = None
    app: str | None = None
    ledger_url: LedgerUrl | None = None
    broker_url: BrokerUrl | None = None
    redis_url: RedisUrl | None = None
    redis_prefix: Annotated[str, Meta(pattern=r"^[\w.:/-]{1,64}$")] = DEFAULT_PREFIX
    ledger_durability: Literal["normal", "full"] = "normal"
    default_bulkhead: str = "normal"
    default_retry: RetryPreset = "standard"
    bulkheads: Bulkheads = msgspec.field(default_factory=default_bulkheads)
    resilience: ResilienceSettings = msgspec.field(default_factory=ResilienceSettings)
    alerts: AlertSettings = msgspec.field(default_factory=AlertSettings)
    slos: dict[str, SloSettings] = msgspec.field(default_factory=dict)
    drills: Targets = msgspec.field(default_factory=default_targets)
    idempotency_ttl: Seconds = WEEK
    heartbeat_interval: Beat = 1.0
    missed_heartbeats: Annotated[int, Meta(ge=2)] = 5
    max_crashes: Annotated[int, Meta(ge=1)] = 3
    max_outvoted: Annotated[int, Meta(ge=1)] | None = None
    drain_timeout: Seconds = 30.0
    max_hand_backs: Annotated[int, Meta(ge=1)] = 10
    cancel_grace: Seconds = 10.0
    unknown_task_ttl: Seconds = 3600.0
    queue_age_limit: Seconds = 300.0
    score_window: Seconds = 300.0
    score_minimum_calls: Annotated[int, Meta(ge=1)] = 10
    retention: Seconds = WEEK
    dead_retention: Seconds = 26 * WEEK
    partition_period: Annotated[float, Meta(ge=60.0, le=LONGEST_DELAY)] | None = None
    progress_interval: Seconds = 0.5
    checkpoint_store: str | list[str] = "sql"
    checkpoint_quorum: Annotated[int, Meta(ge=1)] | None = None
    checkpoint_timeout: Seconds = 2.0
    checkpoint_interval: Seconds = 2.0
    checkpoint_max_bytes: Annotated[int, Meta(ge=1)] = 16 * 1024 * 1024
    checkpoint_secret: Annotated[str, Meta(min_length=16, max_length=64)] | None = None
    blob_store: FolderUrl | None = None
    offload_threshold: Annotated[int, Meta(ge=1024)] = 256 * 1024
    blob_retention: Annotated[float, Meta(ge=3600.0, le=LONGEST_DELAY)] = WEEK
    encryption_keys: Keys | None = None
    encryption_accept_plain: bool = False
    release: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    job_log_lines: Annotated[int, Meta(ge=0, le=10_000)] = 200
    job_log_bytes: Annotated[int, Meta(ge=1024, le=16 * 1024 * 1024)] = 64 * 1024
    faults_allowed: bool = False
    http_port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    http_address: str = "127.0.0.1"
    flower_port: Annotated[int, Meta(ge=0, le=65535)] = 5555
    flower_user: Annotated[str, After(_without_colon)] = "perdure"
    flower_password: str | None = None
    flower_viewers: Annotated[dict[str, str], After(_without_colon)] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
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
            raise WrongSettings(problems)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, _shown(name, value)) for name, value in given_of(self).items()]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    @property
    def home_folder(self) -> Home:
        """The folder of the embedded servers' data and of what `perdure up` runs."""
        return Home(Path(DEFAULT_HOME) if self.home is None else self.home)

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
        from perdure.model.job_log import LogBounds  # here: who runs no jobs asks for none

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
    environment = from_environment({name: name in TABLES for name in Settings.__struct_fields__}, file.values)
    given = {name: value for name, value in arguments.items() if value is not None}
    home = nearest(DEFAULT_HOME)
    found = Source("the folders above", {} if home is None else {"home": home})
    sources = [Source("an argument of Perdure()", given), environment, file, found]
    try:
        return table(Settings, merged(sources))
    except WrongSettings as error:
        said = [f"{one.said(hidden=_is_secret(one.path))} (from {place_of(sources, one.path)})" for one in error.problems]
        raise SettingsError("; ".join(said)) from None


def _shown(name: str, value: Any) -> Any:
    if name.endswith(_SECRET) and value:
        return "***"
    return dict.fromkeys(value, "***") if name == "flower_viewers" else _masked(value)


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return masked_url(value) if isinstance(value, str) else value


def _problem(name: str, value: Any, check: Callable[[], object]) -> Problem | None:
    try:
        check()
    except ValueError as error:
        return Problem((name,), str(error), value)
    return None


def _is_secret(path: tuple[str, ...]) -> bool:
    words = ("password", "secret", "url", "keys", "store", "flower_viewers", "routing_key")
    return any(word in ".".join(path) for word in words)

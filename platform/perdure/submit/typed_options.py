"""Options, name by name, as type checkers and editors see them: a misspelt one is an error before anything runs.

What each means is said where it is used: :class:`~perdure.submit.task.Task`, :class:`~perdure.SubmitOptions`,
:class:`~perdure.settings.settings.Settings`. A test compares the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from perdure.model.auto_replay import AutoReplay
from perdure.model.checkpoint_schema import StatePolicy
from perdure.model.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, scoped_session

    from perdure.settings.alert_settings import AlertSettings, SloSettings
    from perdure.settings.drill_settings import DrillTargets
    from perdure.settings.settings import BulkheadSettings, ResilienceSettings


class JobOptions(TypedDict, total=False):
    """What ``@app.job(...)`` takes; see :meth:`perdure.Perdure.register`."""

    name: str | None
    bulkhead: str | None
    retry: str | RetryPolicy | None
    timeout: float | None
    breaker: str | None
    limit: int | None
    limit_by: str | None
    rate: float | None
    replicas: int
    auto_replay: AutoReplay | bool | None
    priority: int
    state: StatePolicy | None


class SubmitTypedOptions(TypedDict, total=False):
    """What ``task.options(...)`` takes; see :class:`~perdure.SubmitOptions`."""

    idempotency_key: str | None
    idempotency_ttl: float | None
    delay: float | None
    run_at: datetime | None
    priority: int | None
    bulkhead: str | None
    tags: Mapping[str, str]
    session: Session | scoped_session[Session] | None
    deadline: datetime | None
    timeout: float | None


class MoreOptions(TypedDict, total=False):
    """What ``task.apply_async(...)`` takes besides Celery's own names."""

    idempotency_key: str | None
    idempotency_ttl: float | None
    tags: Mapping[str, str]
    session: Session | scoped_session[Session] | None
    deadline: datetime | None
    timeout: float | None


class JobFilters(TypedDict, total=False):
    """What ``app.jobs.list(...)`` and ``app.jobs.count(...)`` take, and ``perdure jobs list`` and Flower's pages with them.

    ``tag`` is ``("tenant", "a")`` or ``"tenant=a"``; ``since`` and ``until`` are when the job was submitted, also as texts
    such as ``2h`` (ago), ``yesterday`` and ``2026-01-31``. ``text`` stands in the arguments or the error, as people are
    shown them, in upper or lower case; no index helps there: jobs that match the rest are read until enough are found.
    """

    state: str | None
    task: str | None
    bulkhead: str | None
    tag: tuple[str, str] | str | None
    since: datetime | float | str | None
    until: datetime | float | str | None
    text: str | None


class SettingsGiven(TypedDict, total=False):
    """What ``Perdure(...)`` takes; see ``docs/settings.md``. None counts as not given."""

    home: str | Path | None
    app: str | None
    ledger_url: str | None
    broker_url: str | None
    redis_url: str | None
    redis_prefix: str | None
    ledger_durability: Literal["normal", "full"] | None
    default_bulkhead: str | None
    default_retry: str | None
    bulkheads: Mapping[str, BulkheadSettings | Mapping[str, Any]] | None
    resilience: ResilienceSettings | Mapping[str, Any] | None
    alerts: AlertSettings | Mapping[str, Any] | None
    slos: Mapping[str, SloSettings | Mapping[str, Any]] | None
    drills: Mapping[str, DrillTargets | Mapping[str, float]] | None
    idempotency_ttl: float | None
    heartbeat_interval: float | None
    missed_heartbeats: int | None
    max_crashes: int | None
    max_outvoted: int | None
    drain_timeout: float | None
    max_hand_backs: int | None
    cancel_grace: float | None
    unknown_task_ttl: float | None
    queue_age_limit: float | None
    score_window: float | None
    score_minimum_calls: int | None
    retention: float | None
    dead_retention: float | None
    partition_period: float | None
    progress_interval: float | None
    checkpoint_store: str | Sequence[str] | None
    checkpoint_quorum: int | None
    checkpoint_timeout: float | None
    checkpoint_interval: float | None
    checkpoint_max_bytes: int | None
    checkpoint_secret: str | None
    blob_store: str | None
    blob_retention: float | None
    offload_threshold: int | None
    encryption_keys: str | None
    encryption_accept_plain: bool | None
    release: str | None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None
    log_format: Literal["text", "json"] | None
    job_log_lines: int | None
    job_log_bytes: int | None
    faults_allowed: bool | None
    http_port: int | None
    http_address: str | None
    flower_port: int | None
    flower_user: str | None
    flower_password: str | None
    flower_viewers: Mapping[str, str] | None

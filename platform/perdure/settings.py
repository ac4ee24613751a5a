"""Settings: arguments > ``PERDURE_*`` environment > ``perdure.toml`` > embedded defaults in the home folder."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from perdure.errors import SettingsError, did_you_mean
from perdure.home import Home

CONFIG_FILE = "perdure.toml"
PREFIX = "PERDURE_"
#: What the ready-made tasks look up by name; whatever follows is the user's own word and no misspelt setting.
TASK_PREFIXES = ("PERDURE_WEBHOOK_SECRET_", "PERDURE_DATABASE_URL_")
WEEK = 7 * 24 * 3600.0

#: Greedy on purpose: a password may hold any character that its writer forgot to quote.
_PASSWORD = re.compile(r"(?<=//)([^/:@]*):.*@")
_QUERY_PASSWORD = re.compile(r"([?&][a-z_]*(?:password|secret|token)=)[^&]*", re.IGNORECASE)
_NEXT_URL = re.compile(r";(?=\w+://)")  # kombu's list of alternatives

#: Ends of the names of settings that are never shown.
_SECRET = ("_password", "_secret", "_keys")

Seconds = Annotated[float, Field(gt=0)]


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

    model_config = ConfigDict(extra="forbid")

    concurrency: int = Field(default=4, ge=1, le=1000)
    max_depth: int | None = Field(default=None, ge=1)
    overflow: Literal["reject", "wait"] = "reject"
    overflow_timeout: Seconds = 10.0
    limit: int | None = Field(default=None, ge=1)
    rate: Seconds | None = None


class ResilienceSettings(BaseModel):
    """Protection of what jobs call, by name; ``docs/resilience.md`` says what each table may hold.

    Args:
        breakers: Circuit breakers, ``[resilience.breakers.NAME]``.
        services: Services, ``[resilience.services.NAME]``: timeout, retry, breaker, rate, permits and fallback of one.
    """

    model_config = ConfigDict(extra="forbid")

    breakers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    services: dict[str, dict[str, Any]] = Field(default_factory=dict)


DEFAULT_BULKHEADS: dict[str, dict[str, Any]] = {
    "critical": {"concurrency": 10},
    "normal": {"concurrency": 5},
    "background": {"concurrency": 3},
}


class Settings(BaseSettings):
    """All settings of one application; see ``docs/settings.md``.

    Times are in seconds.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # compose files pass a variable that is not set as an empty one
        extra="forbid",
        toml_file=CONFIG_FILE,
        frozen=True,
    )

    home: Path = Path(".perdure")
    app: str | None = None
    ledger_url: str | None = None
    broker_url: str | None = None
    redis_url: str | None = None
    ledger_durability: Literal["normal", "full"] = "normal"
    default_bulkhead: str = "normal"
    default_retry: str = "standard"
    bulkheads: dict[str, BulkheadSettings] = Field(default_factory=dict, validate_default=True)
    resilience: ResilienceSettings = Field(default_factory=ResilienceSettings)
    idempotency_ttl: Seconds = WEEK
    heartbeat_interval: Seconds = 1.0
    missed_heartbeats: int = Field(default=5, ge=2)
    max_crashes: int = Field(default=3, ge=1)
    drain_timeout: Seconds = 30.0
    cancel_grace: Seconds = 10.0
    unknown_task_ttl: Seconds = 3600.0
    retention: Seconds = WEEK
    dead_retention: Seconds = 26 * WEEK
    progress_interval: Seconds = 0.5
    checkpoint_store: str | list[str] = "sql"
    checkpoint_quorum: int | None = Field(default=None, ge=1)
    checkpoint_timeout: Seconds = 2.0
    checkpoint_interval: Seconds = 2.0
    checkpoint_max_bytes: int = Field(default=16 * 1024 * 1024, ge=1)
    checkpoint_secret: str | None = Field(default=None, min_length=16, max_length=64)
    blob_store: str | None = None
    offload_threshold: int = Field(default=256 * 1024, ge=1024)
    encryption_keys: str | None = None
    encryption_accept_plain: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    flower_port: int = Field(default=5555, ge=0, le=65535)
    flower_user: str = "perdure"
    flower_password: str | None = None
    flower_viewers: dict[str, str] = Field(default_factory=dict)

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, the strongest first."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if name and name.endswith(_SECRET) and value:
                yield name, "***"
            elif name == "flower_viewers":
                yield name, dict.fromkeys(value, "***")
            else:
                yield name, _masked(value)

    __str__ = BaseSettings.__repr__

    @property
    def home_folder(self) -> Home:
        """The folder of the embedded servers' data and of what `perdure up` runs."""
        return Home(self.home)

    @property
    def effective_ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL; embedded SQLite by default."""
        return with_driver(self.ledger_url) if self.ledger_url else self.home_folder.ledger_url

    @property
    def effective_broker_url(self) -> str:
        """The broker's URL; the embedded Redis by default."""
        return self.broker_url or self.home_folder.redis_url

    @property
    def effective_redis_url(self) -> str:
        """The Redis of breakers and permits; the broker's by default."""
        return self.redis_url or self.effective_broker_url

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
    given = {name: value for name, value in arguments.items() if value is not None}
    _refuse_misspelt_variables()
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(_explain(error, given)) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{Path(CONFIG_FILE).resolve()} is not TOML: {error}") from None


def masked_url(url: str) -> str:
    """Return a URL that may be printed: its passwords are replaced by ``***``, also in a list of URLs and in queries."""
    parts = (_QUERY_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"\1:***@", part)) for part in _NEXT_URL.split(url))
    return ";".join(parts)


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return masked_url(value) if isinstance(value, str) else value


def with_driver(url: str) -> str:
    """Return a database URL with perdure's driver where it names none: psycopg for PostgreSQL."""
    scheme, colon, rest = url.partition(":")
    return f"postgresql+psycopg{colon}{rest}" if scheme in ("postgres", "postgresql") else url


def _refuse_misspelt_variables() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for variable in os.environ:
        if not variable.startswith(PREFIX) or variable.startswith(TASK_PREFIXES) or variable.split("__")[0] in known:
            continue
        if hint := did_you_mean(variable.split("__")[0], known):
            raise SettingsError(f"the environment variable {variable} is no setting of perdure.{hint}")


def _explain(error: ValidationError, arguments: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path)
        if problem["type"] == "extra_forbidden":
            allowed = _names_beside(path)
            what = f"is no setting.{did_you_mean(path[-1], allowed)} Allowed here: {', '.join(sorted(allowed))}"
        else:
            what = f"= {_shown(path, problem['input'])}: {problem['msg']}"
        lines.append(f"{name} {what} (from {_source(path, arguments)})")
    return "; ".join(lines)


def _shown(path: list[str], value: Any) -> str:
    words = ("password", "secret", "url", "keys", "store", "flower_viewers")
    secret = any(word in ".".join(path) for word in words)
    return "***" if secret else repr(value)


def _names_beside(path: list[str]) -> list[str]:
    if len(path) == 1:
        return list(Settings.model_fields)
    return list((ResilienceSettings if path[0] == "resilience" else BulkheadSettings).model_fields)


def _source(path: list[str], arguments: Mapping[str, Any]) -> str:
    if path[0] in arguments:
        return "an argument of Perdure()"
    # The variable itself, or one that holds the JSON of a group that it belongs to.
    names = {PREFIX + "__".join(path[:depth]).upper() for depth in range(1, len(path) + 1)}
    present = next((name for name in os.environ if name.upper() in names), None)
    return f"the environment variable {present}" if present else f"{Path(CONFIG_FILE).resolve()}"

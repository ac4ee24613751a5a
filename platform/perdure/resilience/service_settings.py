"""Builds a service's configuration from plain settings, as they come from ``[resilience.services.<name>]`` in TOML.

    [resilience.services.payments]
    timeout = 10
    retry = "fast"                      # or a table: { max_retries = 5, base = 0.5, max_delay = 10 }
    rate = { rate = 50, burst = 100 }
    permits = { limit = 20 }
    breaker = { failure_threshold = 5, recovery_timeout = 30, expected = ["httpx.TransportError", "TimeoutError"] }
    fallback = { max_age = 3600 }

``false`` leaves a part out, ``true`` takes it with its defaults.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from perdure.errors import PerdureError, SettingsError, did_you_mean
from perdure.resilience.breaker_config import BreakerConfig
from perdure.resilience.fallback import FallbackConfig
from perdure.resilience.permits import PermitsConfig
from perdure.resilience.rate_limit import RateLimitConfig
from perdure.resilience.retry_budget import RetryBudgetConfig
from perdure.resilience.service import ServiceConfig
from perdure.retry import RetryPolicy

_PARTS: dict[str, type[Any]] = {
    "retry": RetryPolicy,
    "retry_budget": RetryBudgetConfig,
    "breaker": BreakerConfig,
    "rate": RateLimitConfig,
    "permits": PermitsConfig,
    "fallback": FallbackConfig,
}
_EXCEPTIONS = {"expected", "ignore", "on", "retry_on", "give_up_on"}


def service_config(name: str, settings: Mapping[str, Any]) -> ServiceConfig:
    """Return the configuration of service ``name``.

    Raises:
        SettingsError: a setting is unknown or has a value that is not allowed; the message names it.
    """
    where = f"resilience.services.{name}"
    values = {key: _part(where, key, value) if key in _PARTS else value for key, value in settings.items()}
    config: ServiceConfig = _build(where, ServiceConfig, values)
    return config


def breaker_config(name: str, settings: Mapping[str, Any]) -> BreakerConfig:
    """Return the configuration of breaker ``name``, as it comes from ``[resilience.breakers.<name>]``.

    Raises:
        SettingsError: a setting is unknown or has a value that is not allowed; the message names it.
    """
    config: BreakerConfig = _build(f"resilience.breakers.{name}", BreakerConfig, settings)
    return config


def _part(where: str, key: str, value: Any) -> Any:
    if value is False or value is None:
        return None
    if key == "retry" and isinstance(value, str):
        return value
    if value is True:
        value = {}
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where}.{key} = {value!r}: must be a table, true or false")
    return _build(f"{where}.{key}", _PARTS[key], value)


def _build(where: str, kind: type[Any], values: Mapping[str, Any]) -> Any:
    known = [field.name for field in fields(kind)]
    for key in values:
        if key not in known:
            raise SettingsError(f"{where}.{key} is unknown.{did_you_mean(key, known)} Known: {', '.join(known)}")
    converted = {
        key: tuple(_exception(f"{where}.{key}", each) for each in value) if key in _EXCEPTIONS else value
        for key, value in values.items()
    }
    try:
        return kind(**converted)
    except (TypeError, ValueError, PerdureError) as error:
        raise SettingsError(f"{where}: {error}") from error


def _exception(where: str, name: str) -> type[BaseException]:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else builtins, attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"{where}: no exception {name!r} can be imported ({error})") from error
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise SettingsError(f"{where}: {name!r} is not an exception")
    return found

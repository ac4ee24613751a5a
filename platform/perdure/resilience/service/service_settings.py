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
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec

from perdure.errors import PerdureError, SettingsError
from perdure.model.retry_policy import RetryPolicy
from perdure.model.setting_problems import WrongSettings
from perdure.model.setting_types import Before, checked, required
from perdure.model.text.stored_names import present_module
from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.failover.groups import FailoverSettings
from perdure.resilience.limits.permits import PermitsConfig
from perdure.resilience.limits.rate_limit import RateLimitConfig
from perdure.resilience.limits.resource_pool import PoolConfig
from perdure.resilience.retry.budget import RetryBudgetConfig
from perdure.resilience.service.fallback import FallbackConfig
from perdure.resilience.service.service import ServiceConfig

Config = TypeVar("Config", bound=msgspec.Struct)

_PARTS: dict[str, type[Any]] = {
    "retry": RetryPolicy,
    "retry_budget": RetryBudgetConfig,
    "breaker": BreakerConfig,
    "rate": RateLimitConfig,
    "permits": PermitsConfig,
    "fallback": FallbackConfig,
}
_EXCEPTIONS = {"expected", "ignore", "on", "retry_on", "give_up_on"}


#: Collects exceptions of modules that are being imported; None refuses them.
_to_be_imported: ContextVar[list[str] | None] = ContextVar("perdure_exceptions_to_be_imported", default=None)

_WORDS = {"true": True, "false": False}


def as_service_config(given: Any) -> ServiceConfig:
    """Return a service's configuration from its table.

    Raises:
        WrongSettings: Something in it is unknown or not allowed.
    """
    return _configured(ServiceConfig, given)


def as_breaker_config(given: Any) -> BreakerConfig:
    """Return a breaker's configuration from its table.

    Raises:
        WrongSettings: Something in it is unknown or not allowed.
    """
    return _configured(BreakerConfig, given)


def as_failover_settings(given: Any) -> FailoverSettings:
    """Return a failover group's settings from its table.

    Raises:
        WrongSettings: Something in it is unknown or not allowed.
    """
    return _configured(FailoverSettings, given)


def as_pool_config(given: Any) -> PoolConfig:
    """Return a pool's bounds from its table, or the name of a preset.

    Raises:
        WrongSettings: Something in it is unknown or not allowed.
        ValueError: There is no preset of that name.
    """
    if not isinstance(given, str) or given.lstrip().startswith("{"):
        return _configured(PoolConfig, given)
    try:
        return PoolConfig.named(given)
    except SettingsError as error:
        raise ValueError(str(error)) from None


def now_or_later(convert: Callable[[Any], Config], given: Any) -> Config | Any:
    """Return a configuration, or its table as it is when that can be converted no earlier than at its first use.

    An application's module may name exceptions that it defines itself, further down. All else is checked now.
    """
    later: list[str] = []
    token = _to_be_imported.set(later)
    try:
        config = convert(given)
    finally:
        _to_be_imported.reset(token)
    return _from_text(given) if later else config


def service_config(name: str, settings: Any) -> ServiceConfig:
    """Return the configuration of service ``name``, from its table or as it was made from that.

    Raises:
        SettingsError: a setting is unknown or has a value that is not allowed; the message names it.
    """
    return _named(("services", name), as_service_config, settings)


def breaker_config(name: str, settings: Any) -> BreakerConfig:
    """Return the configuration of breaker ``name``, from its table or as it was made from that.

    Raises:
        SettingsError: a setting is unknown or has a value that is not allowed; the message names it.
    """
    return _named(("breakers", name), as_breaker_config, settings)


def failover_settings(name: str, settings: Any) -> FailoverSettings:
    """Return the settings of failover group ``name``, from its table or as they were made from that.

    Raises:
        SettingsError: a setting is unknown or has a value that is not allowed; the message names it.
    """
    return _named(("failover", name), as_failover_settings, settings)


def _named(where: Sequence[str], convert: Callable[[Any], Config], given: Any) -> Config:
    try:
        return convert(given)
    except WrongSettings as error:
        found = [problem.within("resilience", *where).said() for problem in error.problems]
        raise SettingsError("; ".join(found)) from None
    except ValueError as error:
        raise SettingsError(f"resilience.{'.'.join(where)}: {error}") from None


def _configured(kind: type[Config], given: Any) -> Config:
    given = _from_text(given)
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a table with any of {', '.join(kind.__struct_fields__)}")
    hints = get_type_hints(kind)
    allowed = {name: _check(name, hints[name]) for name in kind.__struct_fields__}
    values = checked(allowed, required(kind), given)
    try:
        return kind(**values)
    except (TypeError, PerdureError) as error:
        raise ValueError(str(error)) from error


def _check(name: str, hint: Any) -> Any:
    if name in _EXCEPTIONS:
        return Annotated[Any, Before(_exceptions)]
    if name in _PARTS and hint is not float:
        return Annotated[Any, Before(partial(_part, name))]
    return hint


def _part(name: str, given: Any) -> Any:
    """Return a part of a service: a table, or one of true, false and (for retry) the name of a preset."""
    given = _from_text(given)
    if given is False or given is None:
        return None
    if name == "retry" and isinstance(given, str):
        return _preset(given)
    if given is not True and not isinstance(given, (Mapping, _PARTS[name])):
        raise ValueError("must be a table, true or false" + (", or the name of a preset" if name == "retry" else ""))
    return _configured(_PARTS[name], {} if given is True else given)


def _preset(name: str) -> str:
    try:
        RetryPolicy.named(name)
    except PerdureError as error:
        raise ValueError(str(error)) from None
    return name


def _from_text(given: Any) -> Any:
    """Return what a text means that a variable holds where a table, a list or a yes or no is wanted."""
    if not isinstance(given, str):
        return given
    if given.lower() in _WORDS:
        return _WORDS[given.lower()]
    if given.lstrip().startswith(("{", "[")):
        with suppress(ValueError):
            return json.loads(given)
    return given


def _exceptions(given: Any) -> tuple[type[BaseException], ...]:
    given = _from_text(given)
    named = [given] if isinstance(given, (str, type)) else given
    if not isinstance(named, (list, tuple)):
        raise ValueError('must be a list of exceptions, such as ["TimeoutError", "httpx.TransportError"]')
    return tuple(_exception(each) for each in named)


def _exception(name: Any) -> type[BaseException]:
    found = name if isinstance(name, type) else _imported(name)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise ValueError(f"{name!r} is not an exception")
    return found


def _imported(name: Any) -> Any:
    module, _, attribute = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    try:
        return getattr(importlib.import_module(present_module(module)) if module else builtins, attribute)
    except (ImportError, AttributeError, ValueError) as error:
        if _is_loading(module) and (later := _to_be_imported.get()) is not None:
            later.append(name)
            return Exception
        raise ValueError(f"no exception {name!r} can be imported ({error})") from error


def _is_loading(module: str) -> bool:
    """Return whether a module, or a package that it is in, is being imported just now."""
    parts = module.split(".")
    loaded = (sys.modules.get(".".join(parts[:depth])) for depth in range(1, len(parts) + 1))
    return any(getattr(getattr(each, "__spec__", None), "_initializing", False) for each in loaded)

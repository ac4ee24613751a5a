"""The failover groups of an application, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from msgspec import field
from redis import Redis

from perdure.errors import SettingsError, did_you_mean
from perdure.resilience.failover.group import FailoverConfig, FailoverGroup, Member
from perdure.resilience.failover.store import FailoverRecord
from perdure.resilience.redis.keys import DEFAULT_PREFIX
from perdure.resilience.redis.link import connect

S = TypeVar("S")


class FailoverSettings(FailoverConfig, frozen=True, kw_only=True):
    """A group as ``[resilience.failover.NAME]`` has it.

    Args:
        members: addresses by name, the preferred one first; what calls get as the service. Empty: the application adds
            services of its own by :meth:`Failovers.add`.
        check: where the function is that checks an address (``shop.mail.ping``); it is called with the address, and
            returns False or raises when nothing works there.
    """

    members: dict[str, str] = field(default_factory=dict)
    check: str | None = None


class Failovers(Mapping[str, FailoverGroup[Any]]):
    """``failovers["mail"]`` is the group of that name: one that :meth:`add` made, or whose members the settings name.

    Args:
        redis: a client or a URL.
        settings: groups by name, as ``[resilience.failover.NAME]`` has them.
        default: configuration of the other groups.
        prefix: begins each key in Redis.
        on_switch: called with each switch of any group that this process makes.
    """

    def __init__(
        self,
        redis: Redis | str,
        settings: Mapping[str, FailoverSettings] | None = None,
        *,
        default: FailoverConfig | None = None,
        prefix: str = DEFAULT_PREFIX,
        on_switch: Callable[[FailoverRecord], None] = lambda record: None,
    ) -> None:
        self._on_switch = on_switch
        self._redis, self._settings, self._prefix = connect(redis), dict(settings or {}), prefix
        self._default = default or FailoverConfig()
        self._groups: dict[str, FailoverGroup[Any]] = {}
        self._watched: list[FailoverGroup[Any]] = []

    def add(self, name: str, members: Sequence[Member[S]], config: FailoverConfig | None = None) -> FailoverGroup[S]:
        """Make a group of services of any kind, or replace the one of that name.

        Args:
            name: the group.
            members: the services, the preferred one first.
            config: when to switch; default: the settings of that name.

        Raises:
            SettingsError: the members or the name are not allowed.
        """
        config = config or self._settings.get(name, self._default)
        group = FailoverGroup(self._redis, name, members, config, prefix=self._prefix)
        group.listen(self._on_switch)
        if (old := self._groups.get(name)) is not None:
            old.stop(0)
        self._groups[name] = group
        return group

    def start(self) -> None:
        """Check the health of all groups that have checks, each from a thread; of many processes one does at a time.

        The threads have groups of their own: a process that is forked meanwhile inherits no lock that they hold.
        """
        self.stop()
        for group in [group for group in self.values() if group.has_checks]:
            watched = FailoverGroup(self._redis, group.name, group.members, group.config, prefix=self._prefix)
            watched.listen(group.tell)
            watched.start()
            self._watched.append(watched)

    def stop(self) -> None:
        """Stop those threads; a check that is under way ends by itself."""
        for group in self._watched:
            group.stop(0)
        self._watched = []

    def __getitem__(self, name: str) -> FailoverGroup[Any]:
        if name not in self._groups:
            settings = self._settings.get(name)
            if settings is None or not settings.members:
                hint = did_you_mean(name, self)
                raise KeyError(f"no failover group {name!r}: add it, or give it members in the settings.{hint}")
            self.add(name, _members(name, settings))
        return self._groups[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._groups, *(name for name, each in self._settings.items() if each.members)}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(iter(self))


def _members(name: str, settings: FailoverSettings) -> list[Member[str]]:
    check = _function(name, settings.check) if settings.check else None
    return [
        Member(member, address, partial(check, address) if check is not None else None)
        for member, address in settings.members.items()
    ]


def _function(name: str, path: str) -> Callable[[str], object]:
    module, _, attribute = path.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"resilience.failover.{name}.check = {path!r} cannot be imported ({error})") from error
    if not callable(found):
        raise SettingsError(f"resilience.failover.{name}.check = {path!r} is no function")
    return cast("Callable[[str], object]", found)

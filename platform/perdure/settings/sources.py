"""Where settings come from: arguments, ``PERDURE_*`` variables, ``perdure.toml``; which one a value came from is kept."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from perdure.errors import SettingsError, did_you_mean
from perdure.settings.service_links import is_service_link

PREFIX = "PERDURE_"
#: A variable whose name ends so names a file that holds the value, as Docker and Kubernetes mount secrets.
FILE = "_FILE"
#: What the ready-made tasks look up by name; whatever follows is the user's own word and no misspelt setting.
TASK_PREFIXES = (
    "PERDURE_WEBHOOK_SECRET_",
    "PERDURE_WEBHOOK_PRIVATE_HOSTS",
    "PERDURE_DATABASE_URL_",
    "PERDURE_FILE_ROOTS",
)

_RELATIVE_FILE = re.compile(r"sqlite(\+pysqlite)?:///(?=[^/:])")

Path_ = tuple[str, ...]


class Source(Struct, frozen=True):
    """Settings of one place.

    Args:
        place: How messages call it.
        values: What it sets, nested as in the file.
        places: How messages call the places of single values, by their path.
    """

    place: str
    values: dict[str, Any]
    places: Mapping[Path_, str] = field(default_factory=dict)

    def depth(self, path: Path_) -> int:
        """Return how many steps of a path this source knows."""
        value: Any = self.values
        for depth, name in enumerate(path):
            if not isinstance(value, Mapping) or name not in value:
                return depth
            value = value[name]
        return len(path)

    def place_of(self, path: Path_) -> str:
        """Return how to call the place of the value at a path, or of the first one below it."""
        known = [path[:depth] for depth in range(len(path), 0, -1)]
        known += [each for each in self.places if each[: len(path)] == path]
        return next((self.places[each] for each in known if each in self.places), self.place)


def place_of(sources: Sequence[Source], path: Path_) -> str:
    """Return where the value at a path came from; the sources are ordered, the strongest first."""
    return max(sources, key=lambda source: source.depth(path)).place_of(path)


def merged(sources: Sequence[Source]) -> dict[str, Any]:
    """Return the settings of all sources, the strongest first; tables are merged."""
    result: dict[str, Any] = {}
    for source in reversed(sources):
        _merge(result, source.values)
    return result


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = _copied(value)


def _copied(value: Any) -> Any:
    return {name: _copied(each) for name, each in value.items()} if isinstance(value, Mapping) else value


def from_file(path: Path) -> Source:
    """Return what a TOML file sets; nothing when there is no such file.

    Raises:
        SettingsError: It cannot be read, or is not TOML.
    """
    try:
        return Source(f"{path}", _anchored(tomllib.loads(path.read_text(encoding="utf-8")), path.parent))
    except FileNotFoundError:
        return Source(f"{path}", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings of a file whose relative paths begin at its folder, not at the one that a process is in."""
    home, ledger = values.get("home"), values.get("ledger_url")
    if isinstance(home, str):
        values["home"] = str(folder / home) if not home.startswith("~") else home
    if isinstance(ledger, str) and (found := _RELATIVE_FILE.match(ledger)):
        values["ledger_url"] = f"{found[0]}{folder / ledger[found.end() :]}"
    return values


def from_environment(settings: Mapping[str, bool], weaker: Mapping[str, Any]) -> Source:
    """Return what the ``PERDURE_*`` variables set; those that are empty count as not set.

    ``PERDURE_LEDGER_URL_FILE=/run/secrets/ledger`` sets ``ledger_url`` to what the file holds.

    Args:
        settings: The names of all settings, and whether each is a table or list, which a variable may hold as JSON.
        weaker: What weaker sources set. Variables have no small letters and no dashes: one that names a table of a weaker
            source but for these means that table.

    Raises:
        SettingsError: A variable is misspelt, its file cannot be read, or it is set in both ways.
    """
    values: dict[str, Any] = {}
    places: dict[Path_, str] = {}
    for variable in sorted(os.environ, key=len):  # PERDURE_BULKHEADS before PERDURE_BULKHEADS__NORMAL__LIMIT
        text = os.environ[variable]
        if not variable.upper().startswith(PREFIX) or not text or is_service_link(variable, text):
            continue
        in_file = variable.upper().endswith(FILE)
        parts = variable[len(PREFIX) : -len(FILE) if in_file else None].lower().split("__")
        if parts[0] not in settings:
            _refuse_misspelt(variable, settings)
            continue
        path, place = _as_written(parts, weaker), f"the environment variable {variable}"
        if in_file:
            place, text = f"the file {text} of {variable}", _held_by(text, variable)
        if path in places:
            raise SettingsError(f"{places[path]} and {place} set the same: keep one of them")
        places[path] = place
        _put(values, path, _value(text) if settings[parts[0]] else text)
    return Source("the environment", values, places)


def _held_by(file: str, variable: str) -> str:
    """Return what a file holds but for the line break that editors put at its end."""
    try:
        if text := Path(file).read_text(encoding="utf-8").removesuffix("\n"):
            return text
    except OSError as error:
        raise SettingsError(f"the file {file} of {variable} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the file {file} of {variable} is not text in UTF-8") from None
    raise SettingsError(f"the file {file} of {variable} is empty")


def _put(values: dict[str, Any], path: Path_, value: Any) -> None:
    for name in path[:-1]:
        below = values.setdefault(name, {})
        if not isinstance(below, dict):
            return  # what is no table is refused as such
        values = below
    values[path[-1]] = value


def _value(text: str) -> Any:
    """Return the value of a table's or list's variable: JSON where it looks like that, else the text."""
    if text.lstrip().startswith(("{", "[")):
        with suppress(ValueError):
            return json.loads(text)
    return text


def _as_written(parts: Sequence[str], weaker: Mapping[str, Any]) -> Path_:
    path = []
    beside: Any = weaker
    for part in parts:
        names: Collection[str] = beside if isinstance(beside, Mapping) else ()
        name = part if part in names else next((each for each in names if _as_variable(each) == part), part)
        path.append(name)
        beside = beside.get(name) if isinstance(beside, Mapping) else None
    return tuple(path)


def _as_variable(name: str) -> str:
    return name.lower().replace("-", "_")


def _refuse_misspelt(variable: str, settings: Collection[str]) -> None:
    if variable.startswith(TASK_PREFIXES):
        return
    if hint := did_you_mean(variable.split("__")[0], [f"{PREFIX}{name.upper()}" for name in settings]):
        raise SettingsError(f"the environment variable {variable} is no setting of perdure.{hint}")

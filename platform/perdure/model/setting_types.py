"""Tables of settings, converted and checked field by field: all that is wrong is found at once, each with its place.

A table is a ``msgspec.Struct``; its annotations say what a field may be. Values are taken as variables of the environment
have them: ``"5"`` is a number where one is wanted.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Collection, Mapping
from functools import cache
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from perdure.model.setting_problems import Problem, WrongSettings

T = TypeVar("T", bound=msgspec.Struct)


class Before(msgspec.Struct, frozen=True):
    """In ``Annotated[...]``: makes another value of the one that is given, before that is converted.

    Args:
        make: Raises ValueError with what is allowed.
    """

    make: Callable[[Any], Any]


class After(msgspec.Struct, frozen=True):
    """In ``Annotated[...]``: checks a value that was converted, and may make another one of it.

    Args:
        make: Raises ValueError with what is allowed.
    """

    make: Callable[[Any], Any]


def table(kind: type[T], given: Any) -> T:
    """Return a table of settings.

    Args:
        kind: What it is to be.
        given: A mapping, or one of the kind, which is checked as well.

    Raises:
        WrongSettings: Something in it is unknown, missing or not allowed.
        ValueError: It is no table.
    """
    if isinstance(given, kind):
        kind, given = type(given), given_of(given)
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a table with any of {', '.join(kind.__struct_fields__)}")
    return kind(**checked(_hints(kind), required(kind), given))


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def required(kind: type[msgspec.Struct]) -> list[str]:
    """Return the names of a table's fields that have no default."""
    names, defaults = kind.__struct_fields__, kind.__struct_defaults__
    first = len(names) - len(defaults)  # the defaults are those of the last fields
    may_lack = zip(names[first:], defaults, strict=True)
    return [*names[:first], *(name for name, default in may_lack if default is msgspec.NODEFAULT)]


def given_of(one: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a table that have a value."""
    return {name: value for name, value in msgspec.structs.asdict(one).items() if value is not msgspec.UNSET}


def checked(hints: Mapping[str, Any], required: Collection[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a table that are given, converted.

    Args:
        hints: What each field may be.
        required: Those that have to be given.
        given: The table.

    Raises:
        WrongSettings: Something in it is unknown, missing or not allowed.
    """
    problems = [Problem((name,), "is missing: a value is required") for name in required if name not in given]
    values = {}
    for name in given:
        if name in hints:
            values[name] = _noting(problems, name, hints[name], given[name])
        else:
            problems.append(Problem.unknown(str(name), hints))
    if problems:
        raise WrongSettings(problems)
    return values


def converted(hint: Any, given: Any) -> Any:
    """Return a value as an annotation wants it; raises ValueError with what is allowed."""
    if get_origin(hint) is Annotated:
        return _annotated(hint, given)
    if (inner := _optional(hint)) is not None:
        return None if given is None else converted(inner, given)
    if get_origin(hint) is dict:
        return _mapping(get_args(hint)[1], given)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return table(hint, given)
    return given if hint is Any else _plain(hint, given)


def _annotated(hint: Any, given: Any) -> Any:
    for mark in hint.__metadata__:
        if isinstance(mark, Before):
            given = mark.make(given)
    bounds = [mark for mark in hint.__metadata__ if isinstance(mark, msgspec.Meta)]
    value = _plain(hint, given) if bounds else converted(hint.__origin__, given)
    for mark in hint.__metadata__:
        if isinstance(mark, After):
            value = mark.make(value)
    return value


def _optional(hint: Any) -> Any:
    """Return what an annotation wants that may be None or left out as well; None where it does not say so."""
    if get_origin(hint) not in (Union, types.UnionType):
        return None
    kinds = [kind for kind in get_args(hint) if kind not in (type(None), msgspec.UnsetType)]
    return kinds[0] if len(kinds) == 1 else None


def _mapping(hint: Any, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError("must be a table")
    problems: list[Problem] = []
    values = {str(name): _noting(problems, str(name), hint, value) for name, value in given.items()}
    if problems:
        raise WrongSettings(problems)
    return values


def _noting(problems: list[Problem], name: str, hint: Any, given: Any) -> Any:
    """Return a value as it is wanted; note what is wrong with it."""
    try:
        return converted(hint, given)
    except WrongSettings as error:
        problems += [problem.within(name) for problem in error.problems]
    except ValueError as error:
        problems.append(Problem((name,), str(error), given))


#: What variables may say for yes and no, besides what msgspec reads.
_WORDS = {"yes": True, "on": True, "y": True, "t": True, "no": False, "off": False, "n": False, "f": False}


def _plain(hint: Any, given: Any) -> Any:
    if hint is bool and isinstance(given, str):
        given = _WORDS.get(given.strip().lower(), given)
    try:
        value = msgspec.convert(given, hint, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        if isinstance(given, str) and given != given.strip() and str(error).endswith("got `str`"):
            return _plain(hint, given.strip())
        raise ValueError(_in_words(str(error), hint)) from None
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _path(kind: type, given: Any) -> Any:
    if kind is not Path:
        raise NotImplementedError(f"a setting of the type {kind}")
    if not isinstance(given, (str, PathLike)):
        raise TypeError("must be a path")
    return Path(given)


#: msgspec's names of types, and its bounds, in words.
_TYPES = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list"}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}


def _in_words(error: str, hint: Any) -> str:
    if get_origin(hint) is Literal:
        *others, last = map(repr, get_args(hint))
        return f"must be {', '.join(others)} or {last}"
    found = re.fullmatch(r"Expected `([^`]+)`(?:, got .*| (of length )?([<>]=?) (\S+))?(?: - at .*)?", error)
    if found is None:
        return error.replace("Expected `str` matching", "must match")
    wanted = " or ".join(_TYPES.get(kind, kind) for kind in found[1].split(" | ") if kind != "null")
    bound = f", {found[2] or ''}{_BOUNDS[found[3]]} {found[4].removesuffix('.0')}" if found[3] else ""
    return f"must be {wanted}{bound}"

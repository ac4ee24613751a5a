"""Keeping secrets out of what people are shown: by name, by what is annotated as one, and by value.

What stands under a secret's name is masked where it stands. Its value is also taken out of whatever else the same call
leaves: error texts, tracebacks, results under other names, as CI systems do with their logs. :func:`masker` is for that.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

import msgspec

from perdure.model.codec import codec
from perdure.model.secrets import is_secret_name
from perdure.model.task_spec import TaskSpec

#: What is shown in place of a secret.
MASK = "***"
#: Characters from which on a value is taken out of texts: a shorter one stands in every second text by chance.
SHORTEST = 4
#: So many first or last characters of a secret give it away, in a text that somebody has cut.
PIECE = 12

_SCHEME = re.compile(r"(?:Bearer|Basic|Token|Digest)\s+", re.IGNORECASE)


class Masker:
    """Takes the secrets of one call out of whatever is shown of it; one that has none does next to nothing.

    Args:
        secrets: The values, of JSON's types.
        names: Names besides the usual ones whose values are secrets.
    """

    __slots__ = ("_forms", "_names", "_whole")

    def __init__(self, secrets: Iterable[Any] = (), names: frozenset[str] = frozenset()) -> None:
        self._names = names
        parts = {part for value in secrets for part in _parts(value) if len(part) >= SHORTEST}
        # The longest first: one may be a part of another.
        self._whole = sorted(parts, key=len, reverse=True)
        self._forms = sorted({form for part in parts for form in _forms(part)}, key=len, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """Return a text without the secrets, however they are written in it: quoted, escaped, in a URL, in base64."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        for secret in self._whole:
            if len(secret) > PIECE:
                text = _without_pieces(text, secret)
        return text

    def optional(self, text: str | None) -> str | None:
        """Return a text as :meth:`text` does, or None for None."""
        return text if text is None else self.text(text)

    def value(self, value: Any) -> Any:
        """Return a value of JSON's types without the secrets, by name and by value."""
        return _masked(value, self, whole=False)

    def json(self, text: str) -> str:
        """Return a JSON text without the secrets, by name and by value; one without any is returned as it is."""
        if not self and not self._names and not is_secret_name(text):
            return text
        return msgspec.json.encode(self.value(msgspec.json.decode(text))).decode()

    def arguments(self, value: Any, *, secret: bool = False) -> Any:
        """Return a call's argument without the secrets: a text with one in it is masked whole, so that an edited call
        can be put together again.

        Args:
            value: Of JSON's types.
            secret: Whether all of it is one.
        """
        return _masked_as(value, self, secret=secret, whole=True)

    def hides(self, name: str) -> bool:
        """Return whether values of this name are secrets."""
        return name in self._names or is_secret_name(name)


#: What masks by the usual names alone.
NOTHING = Masker()


def masker(task: TaskSpec | None, args: Sequence[Any] | str, kwargs: Mapping[str, Any] | str) -> Masker:
    """Return what takes a call's secrets out of texts and values.

    Args:
        task: The task; None when this process does not know it: then only secrets by name are found.
        args: Positional arguments, of JSON's types or as the text of a JSON array.
        kwargs: Keyword arguments, of JSON's types or as the text of a JSON object.
    """
    marked = task is not None and task.signature.has_secrets
    if not marked and isinstance(args, str) and isinstance(kwargs, str) and not _names_a_secret(args, kwargs):
        return NOTHING
    positional = msgspec.json.decode(args) if isinstance(args, str) else args
    named = msgspec.json.decode(kwargs) if isinstance(kwargs, str) else kwargs
    names = task.signature.secret_fields if task is not None else frozenset()
    found = list(_secrets_of(task, positional, named, Masker(names=names)))
    return Masker(found, names) if found or names else NOTHING


def mask(value: Any) -> Any:
    """Return a value made of JSON's types in which what stands under a secret's name is masked."""
    return NOTHING.value(value)


def mask_call(task: TaskSpec | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return a call's arguments with its secrets masked.

    Args:
        task: The task; None when this process does not know it: then no text is shown, whatever it is, and no number of
            four digits or more.
        args: Positional arguments, of JSON's types.
        kwargs: Keyword arguments, of JSON's types.
    """
    if task is None:
        return [_unknown(value) for value in args], {name: _unknown(value, name) for name, value in kwargs.items()}
    mask_of, secret = masker(task, args, kwargs), task.signature.secret
    names = task.signature.names_of(len(args))
    shown = [mask_of.arguments(value, secret=name in secret) for name, value in zip(names, args, strict=True)]
    return shown, {
        name: mask_of.arguments(value, secret=name in secret or mask_of.hides(name)) for name, value in kwargs.items()
    }


def mask_parameters(task: TaskSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by the names of their parameters, with their secrets masked."""
    mask_of = masker(task, (), values)
    return {name: mask_of.arguments(value, secret=name in task.signature.secret) for name, value in values.items()}


def mask_call_json(task: TaskSpec | None, args: str, kwargs: str) -> tuple[str, str]:
    """Return a call's arguments as JSON texts with its secrets masked; what has none is returned as it is."""
    if task is not None and not task.signature.has_secrets and not _names_a_secret(args, kwargs):
        return args, kwargs
    shown_args, shown_kwargs = mask_call(task, msgspec.json.decode(args), msgspec.json.decode(kwargs))
    return msgspec.json.encode(shown_args).decode(), msgspec.json.encode(shown_kwargs).decode()


def masked_parameters(task: TaskSpec, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
    """Return the secret parameters of a call whose value is the mask itself: somebody passed on what he was shown."""
    named = [*zip(task.signature.names_of(len(args)), args, strict=True), *kwargs.items()]
    return [name for name, value in named if value == MASK and name in task.signature.secret]


# -- masking values ----------------------------------------------------------------------------------------------------


def _masked(value: Any, mask_of: Masker, *, whole: bool) -> Any:
    if isinstance(value, Mapping):
        return {name: _masked_as(value[name], mask_of, secret=mask_of.hides(str(name)), whole=whole) for name in value}
    if isinstance(value, (list, tuple)):
        return [_masked(item, mask_of, whole=whole) for item in value]
    if not mask_of or value is None or isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else str(value)
    shown = mask_of.text(text)
    if shown == text:
        return value
    return MASK if whole else shown


def _masked_as(value: Any, mask_of: Masker, *, secret: bool, whole: bool) -> Any:
    # Whether there is one, and flags such as has_token, are no secret.
    is_secret = secret and value is not None and not isinstance(value, bool)
    return MASK if is_secret else _masked(value, mask_of, whole=whole)


def _unknown(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _unknown(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unknown(item, name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    is_short = not isinstance(value, str) and len(str(value)) < SHORTEST
    return value if is_short and not is_secret_name(name) else MASK


# -- finding the values ------------------------------------------------------------------------------------------------


def _names_a_secret(*texts: str) -> bool:
    return any(map(is_secret_name, texts))


def _secrets_of(task: TaskSpec | None, args: Sequence[Any], kwargs: Mapping[str, Any], names: Masker) -> Iterator[Any]:
    secret = task.signature.secret if task is not None else frozenset()
    parameters = task.signature.names_of(len(args)) if task is not None else [""] * len(args)
    for name, value in [*zip(parameters, args, strict=True), *kwargs.items()]:
        if name in secret or names.hides(name):
            yield value
        else:
            yield from _under_names(value, names)


def _under_names(value: Any, names: Masker) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if names.hides(str(name)):
                yield item
            else:
                yield from _under_names(item, names)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _under_names(item, names)


def _parts(value: Any) -> Iterator[str]:
    """Yield the texts that give a secret away: its leaves, their lines, a URL's password, a header's token."""
    for leaf in _leaves(value):
        yield leaf
        if "\n" in leaf:  # a key in PEM is printed line by line
            yield from filter(None, map(str.strip, leaf.splitlines()))
        if scheme := _SCHEME.match(leaf):
            yield leaf[scheme.end() :]
        if "://" in leaf and (password := _password_of(leaf)):
            yield from {password, unquote(password)}


def _leaves(value: Any) -> Iterator[str]:
    try:
        plain = codec.untagged(value)
    except (KeyError, ValueError, TypeError, ArithmeticError):  # JSON that looks like a tagged value and is none
        plain = value
    yield from _texts(plain)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = [*value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, bytes):
        yield value.hex()
        yield value.decode("utf-8", "backslashreplace")
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _password_of(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def _forms(secret: str) -> Iterator[str]:
    """Yield the ways in which programs write a text."""
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    data = secret.encode("utf-8", "backslashreplace")
    yield repr(data)[2:-1]
    yield quote(data, safe="")
    yield quote(data)
    yield quote_plus(data)
    yield base64.b64encode(data).decode().rstrip("=")
    if len(data) >= PIECE:  # of less there is too little left between two edges
        yield from _base64_within(data)


def _base64_within(data: bytes) -> Iterator[str]:
    """Yield what base64 makes of bytes in the middle of others: three ways, by where they begin."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data)
        inner = whole[(before * 4 + 2) // 3 : len(whole) // 4 * 4 - 4].decode()  # without what its neighbours change
        yield inner
        yield inner.translate({ord("+"): "-", ord("/"): "_"})


def _without_pieces(text: str, secret: str) -> str:
    """Return a text without the beginnings and ends of a secret that a cut has left."""
    for piece, backwards in ((secret[:PIECE], False), (secret[-PIECE:], True)):
        at = text.find(piece)
        while at >= 0:
            start, end = at, at + PIECE
            if backwards:
                start = end - _common(text[:end][::-1], secret[::-1])
            else:
                end = start + _common(text[start : start + len(secret)], secret)
            text = f"{text[:start]}{MASK}{text[end:]}"
            at = text.find(piece, start + len(MASK))
    return text


def _common(one: str, other: str) -> int:
    """Return how many first characters two texts have in common."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

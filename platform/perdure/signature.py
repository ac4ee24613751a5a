"""Binding a call to a task's signature: what is checked at submit is exactly what the worker will get."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, get_type_hints

import msgspec

from perdure import codec
from perdure.errors import InvalidArguments, InvalidJobDefinition


@dataclass(frozen=True, slots=True)
class Payload:
    """A checked and encoded call.

    Attributes:
        args: Positional arguments as the text of a JSON array.
        kwargs: Keyword arguments as the text of a JSON object.
        digest: SHA-256 over the bound arguments, the same however they were passed.
    """

    args: str
    kwargs: str
    digest: str


class Signature:
    """The signature of a job function, without its :class:`~perdure.JobContext` parameter.

    Args:
        function: The job function.
        name: The task's name, for errors.
        context_type: The class whose presence as first annotation means that the job wants its context.

    Raises:
        InvalidJobDefinition: A parameter cannot be passed by name or has an annotation that JSON cannot carry.
    """

    def __init__(self, function: Callable[..., Any], name: str, context_type: type) -> None:
        self._name = name
        hints = _hints(function, name)
        parameters = list(inspect.signature(function).parameters.values())
        self.takes_context = bool(parameters) and hints.get(parameters[0].name) is context_type
        if self.takes_context:
            parameters = parameters[1:]
        self._signature = inspect.Signature(parameters)
        self._hints = {parameter.name: hints.get(parameter.name, Any) for parameter in parameters}
        self._variadic = {p.name: p.kind for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        self._has_untyped = Any in self._hints.values()
        self.returns = hints.get("return", Any)
        if not _supported(self.returns):
            self.returns = Any
        for parameter, hint in self._hints.items():
            if not _supported(hint):
                raise InvalidJobDefinition(
                    f"{name}: parameter {parameter!r} is annotated {hint!r}, which JSON cannot carry."
                )

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Payload:
        """Return a call checked against the signature and encoded.

        Args:
            args: Positional arguments, without the context.
            kwargs: Keyword arguments.

        Raises:
            InvalidArguments: An argument is missing, unexpected or of the wrong type.
            Unserialisable: A value has no faithful JSON form.
        """
        for parameter, value in self._untyped(args, kwargs):
            codec.to_plain(value, typed=False, what=f"{self._name}({parameter})")
        plain_args = [codec.to_plain(value, what=f"{self._name}: argument {n}") for n, value in enumerate(args, 1)]
        plain_kwargs = {name: codec.to_plain(value, what=f"{self._name}({name})") for name, value in kwargs.items()}
        bound = self._bind(plain_args, plain_kwargs)
        for parameter, value in bound.items():
            self._decode(parameter, value)
        digest = hashlib.sha256(codec.dumps(bound, sort=True).encode()).hexdigest()
        return Payload(codec.dumps(plain_args), codec.dumps(plain_kwargs), digest)

    def _untyped(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
        if not self._has_untyped:
            return []
        return [(name, value) for name, value in self._bind(args, kwargs).items() if self._hints[name] is Any]

    def decode(self, args: str, kwargs: str) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of an encoded call, each as its annotated type.

        Raises:
            InvalidArguments: The stored arguments do not fit this release's signature.
        """
        try:
            bound = self._bind(msgspec.json.decode(args), msgspec.json.decode(kwargs))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidArguments(f"{self._name}: the stored arguments are not JSON: {error}") from error
        values = inspect.BoundArguments(
            self._signature,
            {parameter: self._decode(parameter, value) for parameter, value in bound.items()},
        )
        return list(values.args), dict(values.kwargs)

    def __str__(self) -> str:
        return f"{self._name}{self._signature}"

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return dict(self._signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise InvalidArguments(f"{self._name}: {error}. Signature: {self}") from error

    def _decode(self, parameter: str, value: Any) -> Any:
        hint: Any = self._hints[parameter]
        kind = self._variadic.get(parameter)
        if kind is inspect.Parameter.VAR_POSITIONAL:
            hint = GenericAlias(tuple, (hint, ...))
        elif kind is inspect.Parameter.VAR_KEYWORD:
            hint = GenericAlias(dict, (str, hint))
        try:
            return codec.convert(codec.untagged(value), hint)
        except (msgspec.ValidationError, KeyError, ValueError, TypeError) as error:
            raise InvalidArguments(f"{self._name}: argument {parameter!r}: {error}. Signature: {self}") from error


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError as error:
        raise InvalidJobDefinition(f"{name}: an annotation cannot be resolved: {error}.") from error


def _supported(hint: Any) -> bool:
    try:
        msgspec.json.Decoder(hint, dec_hook=lambda _type, value: value)
    except TypeError:
        return False
    return True

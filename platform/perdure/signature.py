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
from perdure import hints as json_hints
from perdure.errors import InvalidArguments, InvalidJobDefinition
from perdure.masking import secret_fields, secret_parameters


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
        self.returns = hints.get("return", Any)
        if not json_hints.supported(self.returns):
            self.returns = Any
        for parameter, hint in self._hints.items():
            if hint is context_type:
                raise InvalidJobDefinition(f"{name}: the context {parameter!r} must be the first parameter.")
            if not json_hints.supported(hint):
                raise InvalidJobDefinition(
                    f"{name}: parameter {parameter!r} is annotated {hint!r}, which JSON cannot carry."
                )
        extras = get_type_hints(function, include_extras=True)
        #: Parameters whose values are shown nowhere.
        self.secret = secret_parameters(extras, self._hints)
        #: Fields within the other parameters whose values are shown nowhere.
        self.secret_fields = secret_fields(hint for parameter, hint in extras.items() if parameter in self._hints)
        self._loose = frozenset(parameter for parameter, hint in self._hints.items() if json_hints.is_loose(hint))

    @property
    def has_secrets(self) -> bool:
        """Whether any value of a call is to be shown nowhere."""
        return bool(self.secret or self.secret_fields)

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Payload:
        """Return a call checked against the signature and encoded.

        Args:
            args: Positional arguments, without the context.
            kwargs: Keyword arguments.

        Raises:
            InvalidArguments: An argument is missing, unexpected or of the wrong type.
            Unserialisable: A value has no faithful JSON form.
        """
        plain_args = [codec.to_plain(value, what=f"{self._name}: argument {n}") for n, value in enumerate(args, 1)]
        plain_kwargs = {name: codec.to_plain(value, what=f"{self._name}({name})") for name, value in kwargs.items()}
        bound = self._bind(plain_args, plain_kwargs)
        decoded = {parameter: self._decode(parameter, value) for parameter, value in bound.items()}
        if self._loose:
            for parameter, value in self._bind(args, kwargs).items():
                if parameter in self._loose:
                    codec.check_faithful(value, decoded[parameter], f"{self._name}({parameter})")
        digest = hashlib.sha256(codec.dumps(bound, sort=True, what=self._name).encode()).hexdigest()
        return Payload(codec.dumps(plain_args), codec.dumps(plain_kwargs), digest)

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments by parameter.

        Raises:
            InvalidArguments: An argument is missing or unexpected.
        """
        return self._bind(args, kwargs)

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

    def names_of(self, count: int) -> list[str]:
        """Return the parameters that the first ``count`` positional arguments go to; empty where there is none."""
        names = [name for name in self._hints if self._variadic.get(name) is not inspect.Parameter.VAR_KEYWORD]
        last = names[-1] if names and self._variadic.get(names[-1]) is inspect.Parameter.VAR_POSITIONAL else ""
        return (names + [last] * count)[:count]

    def by_parameter(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by the names of their parameters, as they are.

        Raises:
            InvalidArguments: An argument is missing or unexpected.
        """
        return self._bind(args, kwargs)

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

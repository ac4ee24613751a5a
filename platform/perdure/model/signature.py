"""Binding a call to a task's signature: what is checked at submit is exactly what the worker will get."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import GenericAlias
from typing import Any, get_type_hints

import msgspec

from perdure.errors import InvalidArguments, InvalidJobDefinition
from perdure.model.codec import codec
from perdure.model.codec import type_hints as json_hints
from perdure.model.secrets import secret_fields, secret_parameters


class Payload(msgspec.Struct, frozen=True):
    """A checked and encoded call.

    Attributes:
        args: Positional arguments as the text of a JSON array.
        kwargs: Keyword arguments as the text of a JSON object.
        digest: SHA-256 over the bound arguments, the same however they were passed.
    """

    args: str
    kwargs: str
    digest: str


class TakenFirst:
    """What a function may take before its arguments: its job's context. Here, so that who submits need not load that."""

    __slots__ = ()


class Signature:
    """The signature of a job function, without its :class:`~perdure.JobContext` parameter.

    Args:
        function: The job function.
        name: The task's name, for errors.

    Raises:
        InvalidJobDefinition: A parameter cannot be passed by name or has an annotation that JSON cannot carry.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._name = name
        hints = _hints(function, name)
        parameters = list(inspect.signature(function).parameters.values())
        self.takes_context = bool(parameters) and _is_context(hints.get(parameters[0].name))
        if self.takes_context:
            parameters = parameters[1:]
        self._signature = inspect.Signature(parameters)
        self._hints = {parameter.name: hints.get(parameter.name, Any) for parameter in parameters}
        self._variadic = {p.name: p.kind for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        self.returns = json_hints.returned(function)
        for parameter, hint in self._hints.items():
            if _is_context(hint):
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
        #: For each parameter, the types whose values JSON brings back as they are.
        self._plain = {
            parameter.name: json_hints.plain_types(self._hints[parameter.name])
            for parameter in parameters
            if parameter.name not in self._variadic
        }
        self._binding = _Binding(parameters)

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
        if (same := self._plain_call(args, kwargs)) is not None:
            return _payload(list(args), dict(kwargs), same, self._name)
        plain_args = [codec.to_plain(value, what=f"{self._name}: argument {n}") for n, value in enumerate(args, 1)]
        plain_kwargs = {name: codec.to_plain(value, what=f"{self._name}({name})") for name, value in kwargs.items()}
        given, plain = self._bind(args, kwargs), self._bind(plain_args, plain_kwargs)
        for parameter, value in given.items():
            if type(value) not in self._plain.get(parameter, ()):
                again = self._decode(parameter, plain[parameter])
                codec.compare(value, again, f"{self._name}({parameter})")
        return _payload(plain_args, plain_kwargs, plain, self._name)

    def encode_result(self, value: Any) -> str:
        """Return the JSON text of what the function returned.

        Raises:
            Unserialisable: A part of it would not come back as it is; the message names the part.
        """
        return codec.encode_returned(value, self.returns, what=f"the result of {self._name}")

    def check_stored(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Payload:
        """Return a call that was encoded before as it is, checked against the signature of this release.

        Args:
            args: Positional arguments as JSON has them, with their tags.
            kwargs: Keyword arguments.

        Raises:
            InvalidArguments: They do not fit the signature.
        """
        plain = self._bind(args, kwargs)
        for parameter, value in plain.items():
            self._decode(parameter, value)
        return _payload(list(args), dict(kwargs), plain, self._name)

    def typed(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], *, typed_in: bool = False
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return a call made of JSON's values as one of the annotated types, such as :meth:`encode` takes it.

        Args:
            args: Positional arguments, without tags (see :func:`perdure.model.codec.codec.untagged`).
            kwargs: Keyword arguments.
            typed_in: Whether a person wrote them: then pydantic models may have their fields under aliases.

        Raises:
            InvalidArguments: They do not fit the signature.
        """
        self._bind(args, kwargs)
        names = zip(self.names_of(len(args)), args, strict=True)
        return (
            [self._converted(name, self._hints[name], value, typed_in=typed_in) for name, value in names],
            {name: self._converted(name, self._hint_of(name), value, typed_in=typed_in) for name, value in kwargs.items()},
        )

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments by the names of their parameters, as they are.

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

    def __str__(self) -> str:
        return f"{self._name}{self._signature}"

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound = self._binding.bound(args, kwargs)
        if bound is not None:
            return bound
        try:
            return dict(self._signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise InvalidArguments(f"{self._name}: {error}. Signature: {self}") from error

    def _plain_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the bound arguments of a call that JSON brings back as it is; None for any other call.

        Most calls are such, and there is nothing to convert and to compare.
        """
        bound = self._binding.bound(args, kwargs)
        if bound is None:
            return None
        for parameter, value in bound.items():
            if not (type(value) in self._plain[parameter] and codec.is_plain(value)):
                return None
        return bound

    def _decode(self, parameter: str, value: Any) -> Any:
        if type(value) in self._plain.get(parameter, ()):
            return value
        hint: Any = self._hints[parameter]
        kind = self._variadic.get(parameter)
        if kind is inspect.Parameter.VAR_POSITIONAL:
            hint = GenericAlias(tuple, (hint, ...))
        elif kind is inspect.Parameter.VAR_KEYWORD:
            hint = GenericAlias(dict, (str, hint))
        try:
            untagged = codec.untagged(value)
        except Exception as error:  # a tag that this release does not know, or with a content that is none of its
            raise InvalidArguments(f"{self._name}: argument {parameter!r}: {error}. Signature: {self}") from error
        return self._converted(parameter, hint, untagged)

    def _converted(self, parameter: str, hint: Any, value: Any, *, typed_in: bool = False) -> Any:
        if type(value) in self._plain.get(parameter, ()):
            return value
        try:
            return codec.convert(value, hint, typed_in=typed_in)
        except Exception as error:  # a validator or a __post_init__ raises what it likes
            raise InvalidArguments(f"{self._name}: argument {parameter!r}: {error}. Signature: {self}") from error

    def _hint_of(self, name: str) -> Any:
        """Return the annotation of a keyword argument, which may be one of ``**rest``."""
        if name in self._hints and name not in self._variadic:
            return self._hints[name]
        return next(self._hints[rest] for rest, kind in self._variadic.items() if kind is inspect.Parameter.VAR_KEYWORD)


class _Binding:
    """Binds the calls of a signature without variadic parameters; about ten times as fast as ``Signature.bind``.

    Args:
        parameters: The parameters.
    """

    def __init__(self, parameters: Sequence[inspect.Parameter]) -> None:
        kinds = {parameter.kind for parameter in parameters}
        self._positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self._by_name = frozenset(p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY)
        self._required = frozenset(p.name for p in parameters if p.default is p.empty)
        self._usable = not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments by parameter; None for a call that is wrong or cannot be bound here."""
        if not self._usable or len(args) > len(self._positional):
            return None
        bound = dict(zip(self._positional, args, strict=False))
        for name, value in kwargs.items():
            if name in bound or name not in self._by_name:
                return None
            bound[name] = value
        return bound if bound.keys() >= self._required else None


def _payload(args: list[Any], kwargs: dict[str, Any], bound: dict[str, Any], name: str) -> Payload:
    digest = hashlib.sha256(codec.dumps(bound, sort=True, what=name).encode()).hexdigest()
    return Payload(codec.dumps(args), codec.dumps(kwargs), digest)


def _is_context(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, TakenFirst)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError as error:
        raise InvalidJobDefinition(f"{name}: an annotation cannot be resolved: {error}.") from error

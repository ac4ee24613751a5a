"""What a checkpoint's bytes say: a state and the version of its shape, and what becomes of a state of another shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from perdure.errors import InvalidJobDefinition, Unserialisable
from perdure.model.codec import codec, type_hints
from perdure.model.outcomes import Discard

Migration = Callable[[Any], Any]

_VERSION, _STATE, _SAVED_AS = "v", "s", "t"


class StateMismatch(Discard):
    """The checkpoint's state has another shape than this release expects; the job waits as a dead letter."""


class TypeNotGiven(Discard):
    """The checkpoint's state was an object, and the job loads it without saying of which type."""


class StatePolicy(msgspec.Struct, frozen=True):
    """The shape of a task's checkpoints, and what to do with one of another shape.

    Args:
        version: The shape's version. Count it up with each release that changes the shape.
        migrations: By version, the function that turns a state (as plain JSON values) into the next version's.
        otherwise: What happens to a state that has no migration, is of a newer release, or does not fit the ``type``
            that the job loads it as: ``park`` makes the job a dead letter, ``restart`` lets it begin again.

    Raises:
        InvalidJobDefinition: A value is not allowed.
    """

    version: int = 1
    migrations: Mapping[int, Migration] = msgspec.field(default_factory=dict)
    otherwise: Literal["park", "restart"] = "park"

    def __post_init__(self) -> None:
        if isinstance(self.version, bool) or not isinstance(self.version, int) or self.version < 1:
            raise InvalidJobDefinition(f"StatePolicy: version={self.version!r} must be a whole number from 1 on")
        if self.otherwise not in ("park", "restart"):
            raise InvalidJobDefinition(f"StatePolicy: otherwise={self.otherwise!r} must be 'park' or 'restart'")
        for version, migration in self.migrations.items():
            if version not in range(1, self.version) or not callable(migration):
                raise InvalidJobDefinition(
                    f"StatePolicy: migrations has {version!r}; keys are versions from 1 to {self.version - 1}, "
                    "values are functions of a state"
                )


class Restored(NamedTuple):
    """A state, and the version that it was saved with."""

    value: Any
    saved_version: int


def pack(state: Any, version: int, annotation: Any, what: str) -> bytes:
    """Return the bytes of a state.

    Args:
        state: The state.
        version: The version of its shape.
        annotation: The type that it was loaded as; Any when that is not known: then an object is to be loaded as its class.
        what: How an error names the state.

    Raises:
        Unserialisable: The state has no faithful JSON form.
    """
    if annotation is Any and type_hints.has_fields(type(state)):
        annotation = type(state)
    text = codec.encode(state, annotation, what=what)
    saved_as = "" if _is_plain(state, text) else f',"{_SAVED_AS}":{codec.encode(_name(annotation))}'
    return f'{{"{_VERSION}":{version},"{_STATE}":{text}{saved_as}}}'.encode()


def _is_plain(state: Any, text: str) -> bool:
    """Return whether a state comes back as itself without a type."""
    try:
        codec.compare(state, codec.decode(text), "")
    except Unserialisable:
        return False
    return True


def _name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)


def unpack(data: bytes, policy: StatePolicy, annotation: Any, what: str) -> Restored:
    """Return the state of :func:`pack`, migrated to the policy's version and as the annotated type.

    Raises:
        StateMismatch: There is no way from the saved shape to this one.
        TypeNotGiven: It was saved as an object and is loaded as plain JSON.
    """
    try:
        envelope = msgspec.json.decode(data)
        saved, plain = int(envelope[_VERSION]), codec.untagged(envelope[_STATE])
        saved_as = envelope.get(_SAVED_AS)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise StateMismatch(f"{what} is of no shape that this release knows: {error}") from error
    if saved > policy.version:
        raise StateMismatch(
            f"{what} was saved by a newer release (state version {saved}, this one has {policy.version}). "
            "Deploy that release again and replay"
        )
    for version in range(saved, policy.version):
        if version not in policy.migrations:
            raise StateMismatch(
                f"{what} has state version {saved} and no migration from {version} to {version + 1} is declared. "
                f"Add migrations={{{version}: ...}} to the task's StatePolicy"
            )
        plain = policy.migrations[version](plain)
    if annotation is Any and saved_as is not None and saved == policy.version:
        raise TypeNotGiven(f"{what} was saved as {saved_as} and would come back as plain JSON: load(type={saved_as})")
    try:
        return Restored(codec.convert(plain, annotation), saved)
    except msgspec.ValidationError as error:
        raise StateMismatch(
            f"{what} does not fit {annotation!r}: {error}. Give the state a new version and a migration"
        ) from error

"""Whatever an exception does, its attempt is settled, with a type, a text, a traceback and a fingerprint, cut once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import force_setattr

from perdure import Discard, RetryAfter, RetryPolicy, Snooze
from perdure.model.records import Settlement
from perdure.model.settlement import Ended, decide
from perdure.model.states import Transition
from perdure.model.text import described
from perdure.model.text.storable import MAX_ERROR, MAX_NAME, MAX_TRACEBACK
from support.claims import claim, raised

#: What ``storable`` says in place of what it cuts out.
NOTE = 60


POLICY = RetryPolicy(max_retries=2, jitter=False)


def boom(*_: Any, **__: Any) -> Any:
    raise RuntimeError("boom")


def deadly(*_: Any, **__: Any) -> Any:
    raise SystemExit(3)


class Meta(type):
    __module__ = property(boom)  # type: ignore[assignment]
    __getattribute__ = boom  # type: ignore[assignment]
    __instancecheck__ = __subclasscheck__ = __repr__ = __str__ = __hash__ = __eq__ = boom  # type: ignore[assignment]


class LateFailing(str):
    __len__ = __str__ = __getitem__ = encode = __add__ = boom  # type: ignore[assignment]


#: A part of an exception's class, and what it may be instead.
PARTS: dict[str, list[Any]] = {
    "__str__": [boom, deadly, lambda self: 5, lambda self: LateFailing("late"), lambda self: "\ud800\x00"],
    "__repr__": [boom, lambda self: None],
    "__getattribute__": [boom],
    "__class__": [property(boom), property(lambda self: Snooze), property(lambda self: 5)],
    "__traceback__": [property(boom), 5],
    "__cause__": [property(boom), "because"],
    "__context__": [property(boom), 5],
    "__suppress_context__": [property(boom)],
    "__notes__": [5, [1, None, b"x"], property(boom), "note", ["n" * 200_000], [LateFailing("late")]],
    "__module__": [None, 5, "", "x" * 2_000],
    "__qualname__": ["x" * 2_000, "\ud800"],
    "__eq__": [boom],
    "__hash__": [boom, None],
    "__bool__": [boom],
    "__len__": [boom],
    "seconds": [None, "soon", property(boom), float("nan"), -1, float("inf"), 10**400],
    "args": [5, property(boom)],
    "exceptions": [5, property(boom)],
}
BASES: list[tuple[type[BaseException], tuple[Any, ...]]] = [
    (Exception, ("what",)),
    (BaseException, ()),
    (Snooze, (5,)),
    (RetryAfter, (5,)),
    (Discard, ("why",)),
    (KeyError, (b"\xff",)),
    (OSError, (2, object(), boom)),
    (UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, "no")),
    (SyntaxError, ("x", ("f", 3, 7, b"..."))),
    (SyntaxError, ("x", ("f", "3", None, "text"))),
    (SyntaxError, ("x", (b"f", -1, 10**30, "text", "a", b"b"))),
    (ImportError, (None,)),
    (BaseExceptionGroup, ("many", [ValueError(), SystemExit()])),
    (ExceptionGroup, ("many", [ExceptionGroup("more", [ValueError("x" * 100_000)])])),
]


@st.composite
def errors(draw: st.DrawFn) -> BaseException:
    base, args = draw(st.sampled_from(BASES))
    names = draw(st.lists(st.sampled_from(sorted(PARTS)), max_size=4, unique=True))
    members = {name: draw(st.sampled_from(PARTS[name])) for name in names}
    meta: Any = Meta if draw(st.booleans()) else base
    kind: Any = type(meta)("Odd", (base,), members)
    return base.__new__(kind, *args) if draw(st.booleans()) else _made(kind, base, args)


def _made(kind: Any, base: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    error = base.__new__(kind, *args)
    if "seconds" not in vars(kind):  # else it stays what the class says
        base.__init__(error, *args)
    return error


def settled(error: BaseException, attempt: int = 1, policy: RetryPolicy = POLICY) -> Settlement:
    settlement = decide(Ended(error=error), claim(attempt), policy)
    for text, limit in (
        (settlement.error, MAX_ERROR + NOTE),
        (settlement.traceback, MAX_TRACEBACK + NOTE),
        (settlement.error_type, MAX_NAME),
        (settlement.death.fingerprint if settlement.death else None, 16),
    ):
        assert text is None or (type(text) is str and 0 < len(text) <= limit)
        (text or "").encode()
        assert "\x00" not in (text or "")
    return settlement


@pytest.mark.parametrize(("base", "args"), BASES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_single_oddity_is_settled(base: type[BaseException], args: tuple[Any, ...]) -> None:
    for name, values in PARTS.items():
        for value in values:
            settled(raised(_made(type("Odd", (base,), {name: value}), base, args)), 3)


@given(errors(), st.integers(1, 4), st.none() | errors(), st.booleans())
def test_every_error_is_settled(error: BaseException, attempt: int, other: BaseException | None, explicit: bool) -> None:
    if other is not None:
        setter: Any = vars(BaseException)["__cause__" if explicit else "__context__"]
        setter.__set__(error, other)
    settlement = settled(raised(error), attempt)
    assert settlement.transition in (Transition.RETRY, Transition.DIE, Transition.SNOOZE)
    assert settlement.delay is None or 0 <= settlement.delay < 1e10


class Unreadable(Exception, metaclass=Meta):
    pass


@pytest.mark.parametrize("field", ["retry_on", "give_up_on"])
def test_a_policy_of_odd_types_settles_as_well(field: str) -> None:
    policy = RetryPolicy(max_retries=1)
    force_setattr(policy, field, (Unreadable,))
    assert settled(raised(ValueError("x")), 1, policy).transition is Transition.RETRY
    assert settled(raised(ValueError("x")), 2, policy).transition is Transition.DIE


def test_a_syntax_error_of_bytes_keeps_its_frames() -> None:
    place: Any = ("f", 3, 7, b"...")
    settlement = settled(raised(SyntaxError("x", place)))
    assert "in raised" in (settlement.traceback or "")
    assert "SyntaxError: x" in (settlement.traceback or "")


def test_an_ordinary_error_has_the_traceback_that_python_writes() -> None:
    def outer() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            error.add_note("a note")
            raise ValueError("outer") from error

    with pytest.raises(ValueError, match="outer") as caught:
        outer()
    trace = described.trace(caught.value)
    assert "KeyError: 'inner'\na note\n\nThe above exception was the direct cause" in trace
    assert 'raise ValueError("outer") from error' in trace


def circle() -> BaseException:
    first, second, third = ValueError("first"), ValueError("second"), ValueError("third")
    first.__cause__, second.__context__, third.__cause__ = second, third, first
    return first


def chain(length: int) -> BaseException:
    error: BaseException = ValueError("0")
    for number in range(1, length):
        further = ValueError(str(number))
        further.__context__ = error
        error = further
    return error


def nested_groups(depth: int) -> BaseException:
    error: Exception = ValueError("deepest")
    for _ in range(depth):
        error = ExceptionGroup("level", [error, ValueError("beside")])
    return error


def wide_group(width: int) -> BaseException:
    return ExceptionGroup("many", [ValueError(str(number)) for number in range(width)])


@pytest.mark.parametrize(("make", "size"), [(chain, 100_000), (wide_group, 100_000), (nested_groups, 2_000)])
def test_of_very_many_errors_the_first_are_shown(make: Callable[[int], BaseException], size: int) -> None:
    trace = described.trace(raised(make(size)))
    assert "in raised" in trace
    assert trace.count("Error: ") <= described.MAX_ERRORS
    assert trace.endswith("and more\n")


@pytest.mark.parametrize(
    "make",
    [
        circle,
        lambda: ValueError("x" * 30_000_000),
        lambda: ValueError("'\n" * 15_000_000),
        lambda: ExceptionGroup("big", [ValueError("\n" * 30_000_000)]),
    ],
    ids=["circle", "30 MB", "30 MB of quotes and lines", "a member of 30 MB"],
)
def test_what_is_endless_or_huge_is_cut_at_the_source(make: Callable[[], BaseException]) -> None:
    error = raised(make())
    for attempt in (1, 3):
        assert "in raised" in (settled(error, attempt).traceback or "")


def test_a_traceback_of_very_many_frames_is_cut() -> None:
    def fall(depth: int) -> None:
        if depth == 0:
            raise ValueError("at the bottom")
        if depth % 2:
            fall(depth - 1)
        else:
            fall(depth - 1)

    with pytest.raises(ValueError, match="bottom") as caught:
        fall(800)
    assert described.trace(caught.value).count("in fall") <= described.MAX_FRAMES


def test_a_long_text_keeps_its_fingerprint() -> None:
    one, other = (settled(raised(ValueError("x" * 50_000 + end)), 3) for end in ("1", "22"))
    assert one.death is not None
    assert other.death is not None
    assert one.death.fingerprint == other.death.fingerprint

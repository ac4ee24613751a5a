"""Work that goes on while its caller prepares more."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from perdure.submit.alongside import Alongside

DEADLINE = 60.0


def test_the_caller_goes_on_while_a_piece_is_done_and_pieces_keep_their_order() -> None:
    goes_on = threading.Event()
    with Alongside[str]() as alongside:
        alongside.begin(lambda: f"first {goes_on.wait(DEADLINE)}")
        goes_on.set()
        alongside.begin(lambda: "second")
        assert alongside.done[0] == "first True"
    assert alongside.done == ["first True", "second"]


def test_nothing_goes_on_when_the_context_is_left_by_an_error() -> None:
    goes_on, alongside = threading.Event(), Alongside[bool]()

    def leave() -> None:
        with alongside:
            alongside.begin(lambda: goes_on.wait(DEADLINE))
            threading.Timer(0.05, goes_on.set).start()
            raise KeyError("in the caller")

    with pytest.raises(KeyError):
        leave()
    assert alongside.done == [True]


def test_an_error_is_raised_once_in_the_callers_thread_and_nothing_is_begun_after_it() -> None:
    alongside, begun = Alongside[float](), iter(range(2))

    def work() -> None:
        with alongside:
            alongside.begin(lambda: 1 / 0)
            alongside.begin(lambda: float(next(begun)))

    with pytest.raises(ZeroDivisionError) as caught:
        work()
    assert (alongside.done, next(begun)) == ([], 0)
    assert caught.traceback[-1].name == "<lambda>"
    alongside.end()


def test_the_error_of_a_piece_comes_before_one_of_what_was_prepared_meanwhile() -> None:
    failing = threading.Event()

    def work() -> None:
        with Alongside[float]() as alongside:
            alongside.begin(lambda: failing.wait(DEADLINE) / 0)
            failing.set()
            raise KeyError("in what was prepared")

    with pytest.raises(ZeroDivisionError) as caught:
        work()
    assert isinstance(caught.value.__context__, KeyError)


def test_a_piece_is_done_in_the_context_of_who_begins_it() -> None:
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    whose.set("the caller's")
    with Alongside[str]() as alongside:
        alongside.begin(whose.get)
    assert alongside.done == ["the caller's"]

"""Tracebacks that people are shown begin with a frame of the job's own code."""

from __future__ import annotations

import sys
import traceback

import pytest

from perdure.model.text import folding
from perdure.model.text.folding import folded, is_own

OWN = 'File "/opt/app/lib/python3.12/site-packages/perdure/context.py", line 7, in step'
WORKER = 'File "/srv/workers/perdure_workers/worker/execute.py", line 99, in _run'
USERS = 'File "/srv/shop/orders.py", line 3, in charge'
HEADER = "Traceback (most recent call last):"


def text(*frames: str, header: str = HEADER, end: str = "ValueError: no") -> str:
    return "\n".join([header, *(f"  {frame}\n    do()\n    ~~^^" for frame in frames), end])


def test_the_user_s_frame_is_first_and_runs_in_between_are_notes() -> None:
    shown = folded(text(WORKER, OWN, USERS, OWN, OWN, USERS, OWN)).split("\n")
    assert shown[:2] == [HEADER, f"  {USERS}"]
    assert "  [2 frames of perdure]" in shown
    assert shown[-2:] == ["  [1 frame of perdure]", "ValueError: no"]
    assert not [line for line in shown if "perdure_workers" in line or "context.py" in line]


def test_an_error_of_perdure_s_own_is_shown_whole() -> None:
    whole = text(WORKER, OWN)
    assert folded(whole) == whole


@pytest.mark.parametrize("plain", ["", "no traceback", "ValueError: no", text(USERS), text(end="")])
def test_what_has_nothing_to_fold_stays_as_it_is(plain: str) -> None:
    assert folded(plain) == plain


def test_causes_and_groups_are_folded_each_for_itself() -> None:
    cause = "\n\nThe above exception was the direct cause of the following exception:\n\n"
    shown = folded(text(OWN, USERS) + cause + text(WORKER, USERS))
    assert "perdure" not in shown
    assert cause in shown
    assert shown.count(USERS) == 2

    code = compile("def fail():\n    raise ExceptionGroup('all', [ValueError('a')])\nfail()", "/srv/shop/x.py", "exec")
    namespace = {"__builtins__": __builtins__}
    call = compile("exec(code, namespace)", f"{folding.__file__}", "exec")
    with pytest.raises(ExceptionGroup) as raised:
        exec(call, {"code": code, "namespace": namespace})
    shown = folded("".join(traceback.format_exception(raised.value.with_traceback(raised.tb.tb_next))))
    assert "/srv/shop/x.py" in shown
    assert folding.__file__ not in shown
    assert "ValueError: a" in shown


def test_deep_recursion_keeps_its_note() -> None:
    limit = sys.getrecursionlimit()

    def down() -> None:
        down()

    try:
        down()
    except RecursionError as error:
        whole = "".join(traceback.format_exception(error))
    assert folded(whole) == whole
    assert "Previous line repeated" in whole
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (folding.__file__, True),
        ("/usr/lib/python3/dist-packages/perdure/ledger/settle.py", True),
        ("/build/platform/perdure/manage/jobs.py", True),
        ("/x/workers/perdure_workers/worker/worker.py", True),
        ("/srv/perdure/orders.py", False),
        ("/home/ann/perdure-shop/app.py", False),
        ("/usr/lib/python3.11/json/__init__.py", False),
        ("<string>", False),
    ],
)
def test_a_folder_that_is_called_like_the_platform_is_own_code(path: str, own: bool) -> None:
    assert is_own(path) is own

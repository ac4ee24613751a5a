"""Histories of jobs are behaviours of the model, and forged ones are not. Those of real runs: ``chaos/test_random.py``."""

from __future__ import annotations

import pytest

from support.model.histories import History, contradiction

_QUIET = (("start", 1), ("end", 1))
_KILLED = (("start", 1), ("saved", 1), ("start", 2), ("saved", 2), ("end", 2))
_CRASHED = (("crashed", 1), ("succeeded", 2))

POSSIBLE = {
    "nothing went wrong": History(_QUIET, (("succeeded", 1),), "succeeded", 1, 0),
    "its process was killed": History(_KILLED, _CRASHED, "succeeded", 2, 1),
    "it was killed before it had written that it began": History(_KILLED[2:], _CRASHED, "succeeded", 2, 1),
    "a frozen worker ended what another had run meanwhile": History(
        (("start", 1), ("start", 2), ("end", 2), ("end", 1)), _CRASHED, "succeeded", 2, 1
    ),
    "it was given back twice before it began": History((("start", 3), ("end", 3)), (("succeeded", 3),), "succeeded", 3, 0),
    "its worker was drained": History(_KILLED, (("handed_back", 1), ("succeeded", 2)), "succeeded", 2, 0),
    "it kills its processes": History(
        (("start", 1), ("start", 2), ("start", 3)), (("crashed", 1), ("crashed", 2), ("crashed", 3)), "dead", 3, 3, True
    ),
}

IMPOSSIBLE = {
    "it saved with an old fence": History(
        (("start", 1), ("start", 2), ("saved", 1), ("end", 2)), _CRASHED, "succeeded", 2, 1
    ),
    "it succeeded twice": History(
        (*_QUIET, ("start", 2), ("end", 2)), (("succeeded", 1), ("succeeded", 2)), "succeeded", 2, 0
    ),
    "a crash was not counted": History(_KILLED, _CRASHED, "succeeded", 2, 0),
    "one claim was begun twice": History((("start", 1), *_QUIET), (("succeeded", 1),), "succeeded", 1, 0),
    "an old claim was begun": History(
        (("start", 2), ("start", 1), ("end", 2)), _CRASHED, "succeeded", 2, 1
    ),
    "it was given up after two crashes": History(_KILLED[:3], (("crashed", 1), ("crashed", 2)), "dead", 2, 2),
    "it succeeded and had not ended": History((("start", 1), ("start", 2)), _CRASHED, "succeeded", 2, 1),
    "what had not begun was handed back": History(
        (("start", 2), ("end", 2)), (("handed_back", 1), ("succeeded", 2)), "queued", 2, 0
    ),
    "it was run once more after it had ended": History((*_QUIET, ("start", 2)), (("succeeded", 1),), "succeeded", 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", POSSIBLE)
def test_a_history_of_a_sound_platform_is_one_of_the_model(name: str) -> None:
    assert contradiction(POSSIBLE[name]) is None


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_forged_history_is_refused(name: str) -> None:
    told = contradiction(IMPOSSIBLE[name])
    assert told is not None
    assert "the model does not lead beyond" in told

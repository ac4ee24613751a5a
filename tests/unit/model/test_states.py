"""The table of transitions is the picture of the design: each arrow is there, and no other."""

from __future__ import annotations

import itertools

import pytest

from perdure.model.states import FINAL_STATES, WAITING_STATES, JobState, Transition, allowed, sources, target

#: (from, what happens, to): every arrow there is.
ARROWS = {
    ("scheduled", "due", "queued"),
    ("retrying", "due", "queued"),
    ("queued", "claim", "running"),
    # A job whose time has come is claimed as it stands.
    ("scheduled", "claim", "running"),
    ("retrying", "claim", "running"),
    ("running", "succeed", "succeeded"),
    ("running", "retry", "retrying"),
    ("running", "snooze", "retrying"),
    # A claimed job whose function was not begun goes back as it was.
    ("running", "release", "queued"),
    ("running", "hand_back", "queued"),
    ("running", "lose", "queued"),
    ("running", "die", "dead"),
    # A waiting job can be given up as well: it expired, or no worker may run it.
    ("scheduled", "die", "dead"),
    ("queued", "die", "dead"),
    ("retrying", "die", "dead"),
    ("scheduled", "cancel", "cancelled"),
    ("queued", "cancel", "cancelled"),
    ("retrying", "cancel", "cancelled"),
    ("running", "cancel", "cancelled"),
    # An operator takes a cancel back.
    ("cancelled", "restore", "queued"),
}


def test_the_table_has_these_arrows_and_no_other() -> None:
    found = {
        (state.value, transition.value, target(transition).value)
        for state, transition in itertools.product(JobState, Transition)
        if allowed(state, transition)
    }
    assert found == ARROWS


def test_the_states_are_the_published_strings() -> None:
    names = ["scheduled", "queued", "running", "retrying", "succeeded", "dead", "cancelled"]
    assert [str(state) for state in JobState] == names
    assert all(state == name for state, name in zip(JobState, names, strict=True))


@pytest.mark.parametrize("state", JobState)
def test_nothing_leaves_a_final_state_by_itself_and_every_other_state_ends(state: JobState) -> None:
    by_itself = set(Transition) - {Transition.RESTORE}
    leaving = [transition for transition in by_itself if allowed(state, transition)]
    assert state.is_final == (state in FINAL_STATES) == (leaving == [])
    reached, new = {state}, {state}
    while new:
        new = {target(t) for s, t in itertools.product(new, Transition) if allowed(s, t)} - reached
        reached |= new
    assert state.is_final or reached >= FINAL_STATES


def test_each_state_is_waiting_running_or_final() -> None:
    assert WAITING_STATES | FINAL_STATES | {JobState.RUNNING} == set(JobState)
    assert not WAITING_STATES & FINAL_STATES


def test_every_way_out_of_running_but_a_claim_or_a_due_date_is_a_settlement() -> None:
    settlements = {t for t in Transition if allowed(JobState.RUNNING, t)}
    assert settlements == set(Transition) - {Transition.DUE, Transition.CLAIM, Transition.RESTORE}


def test_sources_are_sorted_texts() -> None:
    assert sources(Transition.DUE) == ("retrying", "scheduled")
    assert all(list(sources(transition)) == sorted(sources(transition)) for transition in Transition)

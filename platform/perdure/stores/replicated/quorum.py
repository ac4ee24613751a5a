"""Decisions of a replicated store, without I/O: how many stores are enough, and what their answers mean.

The register is that of Attiya, Bar-Noy and Dolev (ABD, "Sharing memory robustly in message-passing systems", 1995):
a reader makes sure that a value is on a write quorum before it returns it, so that what one reader has seen no later
reader misses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from msgspec import Struct, field

from perdure.model.replication import more_than_half
from perdure.stores.protocol import Damage, StoredVersion
from perdure.stores.record import CheckpointKey, CheckpointRecord, Version


class Quorum(Struct, frozen=True):
    """How many of ``stores`` must take a write, and how many must answer a read.

    Any two write quorums share a store (2 write > stores), so of two claims only one can be the newest; any read
    quorum meets any write quorum (read + write > stores), so a reader meets what was acknowledged.

    Raises:
        ValueError: when the numbers give no such quorum.
    """

    stores: int
    write: int

    def __post_init__(self) -> None:
        if not self.stores < 2 * self.write <= 2 * self.stores:
            raise ValueError(
                f"a write quorum of {self.write} does not fit {self.stores} stores: "
                f"use {more_than_half(self.stores)} (majority) to {self.stores}"
            )

    @classmethod
    def majority(cls, stores: int) -> Self:
        """Return the smallest safe write quorum; it goes on while a minority of the stores is at fault."""
        return cls(stores, more_than_half(stores))

    @property
    def read(self) -> int:
        """How many sound answers a read needs."""
        return self.stores - self.write + 1

    @property
    def tolerated(self) -> int:
        """How many stores may be at fault at once."""
        return self.stores - self.write


class Reading(Struct, frozen=True):
    """What the stores' answers about one checkpoint mean.

    Args:
        key: the checkpoint.
        winner: the newest good record, or None.
        holders: the stores that hold the winner.
        stale: the stores that answered without the winner (older, missing, or other data under its version).
        damaged: the damaged copies.
        failed: the stores that gave no answer, and why.
        sound: number of answers that can be relied on to show what the store was given.
        lost: a version newer than the winner of which only damaged copies were found.
        unconfirmed: newer records that too few stores hold, by store: a save that did not succeed, or a lie. They are
            neither returned nor copied.
        held: all good records, each with the stores that hold it.
        open: whether stores that are silent or damaged might confirm one of those.
    """

    key: CheckpointKey
    winner: CheckpointRecord | None
    holders: frozenset[str]
    stale: frozenset[str]
    damaged: tuple[Damage, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    sound: int = 0
    lost: Version | None = None
    unconfirmed: Mapping[str, Version] = field(default_factory=dict)
    held: Mapping[CheckpointRecord, frozenset[str]] = field(default_factory=dict)
    open: bool = False

    @property
    def to_mend(self) -> frozenset[str]:
        """The stores that answered and do not hold the winner, or hold damaged copies."""
        return self.stale | {each.store for each in self.damaged}

    @property
    def consistent(self) -> bool:
        """Whether every store answered and all hold the same."""
        return not (self.stale or self.damaged or self.failed or self.unconfirmed)

    def decided(self, quorum: Quorum) -> bool:
        """Return whether no store that is still silent could change the outcome for an acknowledged write.

        When every store has answered and too few answers are sound, waiting brings nothing: the best that is left
        wins, and :attr:`lost` says what is gone.
        """
        return not self.open and (self.sound >= quorum.read or not self.failed)


def judge(
    key: CheckpointKey,
    answers: Mapping[str, tuple[StoredVersion, ...]],
    failed: Mapping[str, str] | None = None,
    *,
    confirming: int = 1,
) -> Reading:
    """Return what the stores' answers mean together.

    Args:
        key: the checkpoint.
        answers: versions by store name.
        failed: why others gave no answer, by store name.
        confirming: how many stores must hold the same record before it is believed. One will do where nobody can forge
            records; else it takes a write quorum, which is where an acknowledged record is.
    """
    holding = _holding(answers)
    winner = _newest({record: stores for record, stores in holding.items() if len(stores) >= confirming})
    damaged = tuple(
        Damage(store, key, each.version, each.damage.reason)
        for store, versions in answers.items()
        for each in versions
        if each.damage is not None
    )
    holders = frozenset(
        store for store, versions in answers.items() if any(winner is not None and v.record == winner for v in versions)
    )
    doubtful = [record for record in holding if record != winner and (winner is None or record.version >= winner.version)]
    doubtful = doubtful if confirming > 1 else []
    # A damaged copy of something newer may be what was acknowledged: its store has not really answered.
    beyond = {each.store: each.version for each in damaged if winner is None or each.version > winner.version}
    return Reading(
        key,
        winner,
        holders=holders,
        stale=frozenset(answers) - holders if winner is not None else frozenset(),
        damaged=damaged,
        failed=dict(failed or {}),
        sound=len(answers) - len(beyond),
        lost=max(beyond.values(), default=None),
        unconfirmed={store: record.version for record in doubtful for store in holding[record]},
        held=holding,
        open=any(len(holding[each] | _may_hold(each, damaged, failed or {})) >= confirming for each in doubtful),
    )


def _holding(answers: Mapping[str, tuple[StoredVersion, ...]]) -> dict[CheckpointRecord, frozenset[str]]:
    """Return which stores hold each record."""
    holding: dict[CheckpointRecord, frozenset[str]] = {}
    for store, versions in answers.items():
        for each in versions:
            if each.record is not None:
                holding[each.record] = holding.get(each.record, frozenset()) | {store}
    return holding


def _may_hold(record: CheckpointRecord, damaged: Iterable[Damage], failed: Iterable[str]) -> frozenset[str]:
    """Return the stores that may hold a record without having shown it: the silent, and those whose copy is damaged."""
    return frozenset(failed) | {each.store for each in damaged if each.version >= record.version}


def _newest(holding: Mapping[CheckpointRecord, frozenset[str]]) -> CheckpointRecord | None:
    # Two values under one version: a writer broke the rule that a failed save uses its seq up. What most stores hold
    # may have been acknowledged, so it wins; the data breaks a tie, so that all readers choose alike.
    return max(holding, key=lambda record: (record.version, len(holding[record]), record.data), default=None)

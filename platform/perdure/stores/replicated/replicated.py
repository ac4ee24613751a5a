"""Several stores behind one: it goes on, and stays right, while a minority of them is at fault.

What it promises, for N stores and a write quorum of W (majority by default):

* ``save`` returns when W stores have taken the record. It asks first, and when fewer than W answer, or a newer record
  exists, nothing is written anywhere.
* When stores fail *during* a save, it raises ``InsufficientReplicas`` and the outcome is open: the record may be on
  fewer than W stores. A later ``load`` returns the version before, or this one - but this one only after it has
  written it to W stores (ABD, see :mod:`~perdure.stores.replicated.quorum`). So no value is seen once and then lost again.
  Taking it back instead would be wrong: a reader may have completed it meanwhile. A failed save has used its
  ``seq`` up; save again under the next one.
* ``load`` waits for every store up to the timeout, and needs N - W + 1 sound answers. A store whose copy is damaged
  has not answered soundly. It returns the newest good record and repairs stores that are stale or damaged.
* Any number of stores may *crash* or be cut off: the store then refuses, and never returns an older record than one
  it acknowledged. N - W of them may be *wrong* - damaged, emptied, stale while saying that they are current, or slow -
  with nobody noticing but the reports. Beyond that, when all stores answered and no good copy of an acknowledged
  record is left, the one before it is returned and the report says what was lost.
* *Lying*: damage is always found. What a store that lies can do depends on whether records are ``authenticated``, that is,
  written and read with a key (the setting ``checkpoint_secret``):

  - With a key nobody forges a record; what is told above holds. A store that replays an old but genuine record is stale.
  - Without one a record is believed, returned and copied only if W stores hold the same one. N - W stores may then lie as
    they like; nothing they made up is returned or repaired from. The price: a newer record that fewer hold is passed over
    when all stores answered, and the load refuses while silent or damaged stores might confirm it. So an
    acknowledged record is passed over if one of its W stores loses it while another one had missed the save.
* ``delete`` is for jobs that will not run again: a store that was away keeps its copies, until ``repair`` with
  ``is_live`` removes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, Final

from perdure.model.storage_errors import InsufficientReplicas, MissingKey, StaleWrite
from perdure.stores.protocol import CheckpointStore, DamageCallback, ScanPage, StoredVersion
from perdure.stores.record import CheckpointKey, CheckpointRecord, Version, check_name
from perdure.stores.replicated import divergence
from perdure.stores.replicated.quorum import Quorum, Reading, judge
from perdure.stores.replicated.replica import Answers, Replica, ask
from perdure.stores.replicated.report import ReplicaReport

DEFAULT_TIMEOUT_S: Final = 2.0
"""Seconds that one store gets for one call: above a disk's or a network's bad moment, below a job's patience."""


class ReplicatedStore:
    """A :class:`~perdure.stores.protocol.CheckpointStore` on several others.

    A call runs in a thread of its own, so a process may fork while no call is in flight, and use it on both sides.

    Args:
        stores: the stores; their names must differ. Use an odd number, and an equal codec in all.
        write_quorum: how many must take a write; default: a majority.
        timeout: seconds that a store gets for a call. A save does not wait for slow stores, a load does.
        authenticated: whether the stores' codec has a key, so that no store can make a record up; see the top of this file.
        name: how reports call it.
        on_report: called when a store was found at fault, sometimes from another thread.
        on_damage: called with each damaged copy that ``load`` comes across.

    Raises:
        ValueError: Two stores have one name, or so many stores cannot give that quorum.
    """

    def __init__(
        self,
        stores: Sequence[CheckpointStore],
        *,
        write_quorum: int | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        authenticated: bool = False,
        name: str = "replicated",
        on_report: Callable[[ReplicaReport], None] | None = None,
        on_damage: DamageCallback | None = None,
    ) -> None:
        self._replicas = [Replica(store) for store in stores]
        if len({replica.name for replica in self._replicas}) < len(stores):
            raise ValueError(f"stores need different names, these are: {', '.join(r.name for r in self._replicas)}")
        self.quorum = Quorum(len(stores), write_quorum) if write_quorum else Quorum.majority(len(stores))
        self._timeout, self._name = timeout, name
        self._confirming = 1 if authenticated else self.quorum.write
        self._on_report, self._on_damage = on_report, on_damage

    @property
    def name(self) -> str:
        """How reports call this store."""
        return self._name

    def save(self, record: CheckpointRecord) -> None:
        """Store ``record`` on a write quorum; see :meth:`CheckpointStore.save` and the top of this file.

        Raises:
            StaleWrite: when a newer record exists; nothing was written.
            InsufficientReplicas: when too few stores work. Save again, under the next ``seq``.
        """
        action, needed = f"save {record.key}", self.quorum.write
        heads = ask(self._replicas, lambda s: s.head(*record.key), timeout=self._timeout, enough=self._acknowledged)
        self._require(action, heads, needed)
        if any(head is not None and head >= record.version for head in heads.values.values()):
            self._refuse_if_superseded(record)
        acks = ask(self._replicas, lambda s: s.save(record), timeout=self._timeout, enough=self._acknowledged)
        self._report_late("save", record.key, acks)
        if len(acks.values) < needed and any(isinstance(error, StaleWrite) for error in acks.errors.values()):
            self._refuse_if_superseded(record)
        self._report(ReplicaReport("save", record.key, {name: str(error) for name, error in acks.errors.items()}))
        self._require(action, acks, needed)

    def _acknowledged(self, values: Any) -> bool:
        return len(values) >= self.quorum.write

    def _refuse_if_superseded(self, record: CheckpointRecord) -> None:
        """Raise StaleWrite when a store that says it has something newer is right; it may be lying or damaged."""
        newest = self.load(*record.key)
        if newest is not None and newest.version >= record.version and newest != record:
            raise StaleWrite(str(record.key), record.version, newest.version)

    def load(self, job_id: str, name: str) -> CheckpointRecord | None:
        """Return the newest record that a quorum vouches for; see :meth:`CheckpointStore.load`.

        Raises:
            InsufficientReplicas: when too few stores answer to know what the newest is.
        """
        reading = self.inspect(CheckpointKey(job_id, name))
        self.mend("load", reading)
        return reading.winner

    def inspect(self, key: CheckpointKey) -> Reading:
        """Return what the stores hold under ``key``, changing nothing.

        Raises:
            MissingKey: when records are authenticated and no key is configured.
        """
        _checked(key)
        answers = ask(self._replicas, lambda s: s.versions(*key), timeout=self._timeout)
        _raise_missing_key(answers)
        return judge(key, answers.values, answers.reasons(self._timeout), confirming=self._confirming)

    def mend(self, action: str, reading: Reading) -> frozenset[str]:
        """Bring the stores of ``reading`` up to its winner, and return the names of those that now are.

        Raises:
            InsufficientReplicas: when the winner is not certain, or is not on a write quorum even after this.
        """
        what, failed = f"{action} {reading.key}", dict(reading.failed)
        if not reading.decided(self.quorum):
            unsound = {each.store: f"damaged: {each.reason}" for each in reading.damaged} | _doubts(reading)
            self._report(
                ReplicaReport(
                    action, reading.key, failed, reading.stale, reading.damaged, unconfirmed=dict(reading.unconfirmed)
                )
            )
            raise InsufficientReplicas(what, reading.sound, self.quorum.read, unsound | failed)
        targets = [
            replica
            for replica in self._replicas
            if replica.name in reading.to_mend and replica.name not in reading.unconfirmed
        ]
        mended = ask(targets, lambda s: _bring_up(s, reading), timeout=self._timeout)
        failed |= mended.reasons(self._timeout)
        repaired = frozenset(mended.values)
        self._report(
            ReplicaReport(
                action,
                reading.key,
                failed,
                reading.stale,
                reading.damaged,
                repaired,
                lost=reading.lost,
                unconfirmed=dict(reading.unconfirmed),
            )
        )
        for each in reading.damaged:
            if self._on_damage is not None:
                self._on_damage(each)
        current = reading.holders | repaired
        if reading.winner is not None and len(current) < self.quorum.write:
            raise InsufficientReplicas(what, len(current), self.quorum.write, failed)
        return repaired

    def head(self, job_id: str, name: str) -> Version | None:
        """Return the version that ``load`` would return; see :meth:`CheckpointStore.head`."""
        record = self.load(job_id, name)
        return None if record is None else record.version

    def versions(self, job_id: str, name: str) -> tuple[StoredVersion, ...]:
        """Return the versions of all stores that answer, a good copy of each where there is one, newest first."""
        key = _checked(CheckpointKey(job_id, name))
        answers = ask(self._replicas, lambda s: s.versions(*key), timeout=self._timeout)
        self._require(f"read {key}", answers, self.quorum.read)
        best: dict[Version, StoredVersion] = {}
        for each in (version for versions in answers.values.values() for version in versions):
            if each.version not in best or best[each.version].record is None:
                best[each.version] = each
        return tuple(best[version] for version in sorted(best, reverse=True))

    def drop_damaged(self, job_id: str, name: str) -> int:
        """Remove damaged copies on all stores that answer; see :meth:`CheckpointStore.drop_damaged`."""
        key = _checked(CheckpointKey(job_id, name))
        answers = ask(self._replicas, lambda s: s.drop_damaged(*key), timeout=self._timeout)
        self._require(f"drop damaged copies of {key}", answers, self.quorum.write)
        return sum(answers.values.values())

    def delete(self, job_id: str) -> None:
        """Remove the job on all stores that answer; see :meth:`CheckpointStore.delete`.

        Raises:
            InsufficientReplicas: when fewer than a write quorum did.
        """
        check_name("job id", job_id)
        answers = ask(self._replicas, lambda s: s.delete(job_id), timeout=self._timeout)
        self._require(f"delete checkpoints of job {job_id}", answers, self.quorum.write)

    def scan(self, after: str | None = None, limit: int = 500) -> ScanPage:
        """Return checkpoints of one store after the other; each comes up to N times. See :meth:`CheckpointStore.scan`.

        Raises:
            InsufficientReplicas: when more stores fail than a write quorum may lack.
        """
        index, failures, inner = (after or "0:0:").split(":", 2)
        position, failed = int(index), int(failures)
        replica = self._replicas[position]
        answers = ask([replica], lambda s: s.scan(inner or None, limit), timeout=self._timeout)
        page = answers.values.get(replica.name, ScanPage((), None))
        failed += not answers.values
        if failed > self.quorum.tolerated:
            raise InsufficientReplicas("scan", position + 1 - failed, self.quorum.write, answers.reasons(self._timeout))
        if page.next is not None:
            return ScanPage(page.keys, f"{position}:{failed}:{page.next}")
        last = position + 1 == len(self._replicas)
        return ScanPage(page.keys, None if last else f"{position + 1}:{failed}:")

    def health(self) -> None:
        """Return when a write quorum works; see :meth:`CheckpointStore.health` and :meth:`statuses`."""
        answers = ask(self._replicas, lambda s: s.health(), timeout=self._timeout)
        self._require("health", answers, self.quorum.write)

    def statuses(self) -> dict[str, str | None]:
        """Return for each store None when it works, or why it does not."""
        answers = ask(self._replicas, lambda s: s.health(), timeout=self._timeout)
        return dict.fromkeys(answers.values) | answers.reasons(self._timeout)

    def verify(self, **options: Any) -> divergence.Summary:
        """Compare all stores; see :func:`perdure.stores.replicated.divergence.verify`."""
        return divergence.verify(self, **options)

    def repair(self, **options: Any) -> divergence.Summary:
        """Bring all stores up to date; see :func:`perdure.stores.replicated.divergence.repair`."""
        return divergence.repair(self, **options)

    def drain(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the calls to slow stores that still run; return whether all ended."""
        deadline = time.monotonic() + timeout
        running = {future for replica in self._replicas for future in replica.in_flight()}
        return not wait(running, max(0.0, deadline - time.monotonic())).not_done

    def _require(self, action: str, answers: Answers[Any], needed: int) -> None:
        if len(answers.values) < needed:
            _raise_missing_key(answers)
            raise InsufficientReplicas(action, len(answers.values), needed, answers.reasons(self._timeout))

    def _report(self, report: ReplicaReport) -> None:
        if self._on_report is not None and (
            report.failed or report.stale or report.damaged or report.lost or report.unconfirmed
        ):
            self._on_report(report)

    def _report_late(self, action: str, key: CheckpointKey, answers: Answers[Any]) -> None:
        """Report a store that fails, or takes longer than its timeout, when the caller is gone already."""
        started = time.monotonic()

        def ended(name: str, future: Future[Any]) -> None:
            error, took = future.exception(), time.monotonic() - started
            if error is not None and not isinstance(error, StaleWrite):  # a later save overtook this one: as it should
                self._report(ReplicaReport(action, key, {name: str(error)}))
            elif took > self._timeout:
                self._report(ReplicaReport(action, key, {name: f"slow: answered after {took:.1f} s"}))

        for name, future in answers.pending.items():
            future.add_done_callback(partial(ended, name))


def _doubts(reading: Reading) -> dict[str, str]:
    return {
        store: f"holds fence {version.fence} seq {version.seq}, which too few stores confirm"
        for store, version in reading.unconfirmed.items()
    }


def _checked(key: CheckpointKey) -> CheckpointKey:
    check_name("job id", key.job_id)
    check_name("checkpoint name", key.name)
    return key


def _raise_missing_key(answers: Answers[Any]) -> None:
    """Let a missing key be told as what it is, and not as a store at fault."""
    for error in answers.errors.values():
        if isinstance(error, MissingKey):
            raise error


def _bring_up(store: CheckpointStore, reading: Reading) -> None:
    if any(each.store == store.name for each in reading.damaged):
        store.drop_damaged(*reading.key)
    if reading.winner is None:
        return
    try:
        store.save(reading.winner)
    except StaleWrite:
        # Somebody saved a newer one meanwhile: then this store is ahead, which is as good (ABD's servers acknowledge).
        newer = (each for each in store.versions(*reading.key) if each.record is not None)
        if not any(each.version > reading.winner.version for each in newer):
            raise

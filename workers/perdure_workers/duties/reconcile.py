"""Duty: send tickets again that the broker lost."""

from __future__ import annotations

import logging
from typing import ClassVar

import redis

from perdure import Perdure
from perdure.fork_gate import gate
from perdure.ids import new_id
from perdure.ledger.reconcile import Level
from perdure.tickets import queue_name
from perdure_workers.duties.duty import Duty

logger = logging.getLogger("perdure.reconcile")

EPOCH_KEY = "perdure:epoch"
PAGE = 500
#: kombu's separator between a queue's name and its priority.
SEPARATOR = "\x06\x16"


class Reconcile(Duty):
    """Compares the ledger's queued jobs with what the broker has; see :mod:`perdure.ledger.reconcile`."""

    name: ClassVar[str] = "reconcile"

    def __init__(self, app: Perdure) -> None:
        super().__init__(app)
        url = app.settings.effective_broker_url
        self._redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2)

    @property
    def period(self) -> float:
        """Half the setting ``ticket_grace``."""
        return self.app.settings.ticket_grace / 2

    def run_once(self) -> int:
        """Send lost tickets again and return how many."""
        try:
            self._watch_epoch()
            levels = self.app.ledger.levels()
            lengths = self._lengths(levels)
        except redis.RedisError as error:
            logger.info("the broker is not reached: %s", error)
            return 0
        return sum(self._reticket(level, length) for level, length in zip(levels, lengths, strict=True))

    def _watch_epoch(self) -> None:
        """Notice that the broker lost everything: the epoch key is gone, or is not the one the ledger knows."""
        with gate.use():
            found = self._redis.get(EPOCH_KEY)
        epoch = found.decode() if isinstance(found, bytes) else None
        known = self.app.ledger.broker_epoch()
        if epoch is not None and epoch == known:
            return
        new = new_id()
        if self.app.ledger.begin_broker_epoch(known, new):
            with gate.use():
                self._redis.set(EPOCH_KEY, new)
            if known is not None:
                logger.warning("the broker lost its data: all queued jobs get new tickets")

    def _lengths(self, levels: list[Level]) -> list[int]:
        if not levels:
            return []
        with gate.use(), self._redis.pipeline(transaction=False) as pipe:
            for level in levels:
                pipe.llen(_key(level))
            return [int(length) for length in pipe.execute()]

    def _reticket(self, level: Level, length: int) -> int:
        grace = self.app.settings.ticket_grace
        newest = level.now - grace
        if length > 0:
            if level.served is None:
                return 0
            newest = min(newest, level.served - grace)
        if level.oldest >= newest:
            return 0
        tickets = self.app.ledger.reticket(level, newest, PAGE)
        failed = self.app.submitter.send_tickets(tickets)
        logger.info("%d tickets of %s were lost and are sent again", len(tickets), level.bulkhead)
        return len(tickets) - len(failed)


def _key(level: Level) -> str:
    queue = queue_name(level.bulkhead)
    return f"{queue}{SEPARATOR}{level.priority}" if level.priority else queue

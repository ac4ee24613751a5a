"""What can be done to a platform: each fault is a context manager, begun when it is entered and over when it is left."""

from __future__ import annotations

from perdure_workers.chaos.faults import injected, ledger, load, network, people, processes, redis
from perdure_workers.chaos.faults.fault import FaultFunction

#: The faults by the name that scenarios call them by.
FAULTS: dict[str, FaultFunction] = {
    "kill": processes.kill,
    "freeze": processes.freeze,
    "drain": processes.drain,
    "rolling-deploy": processes.rolling_deploy,
    "clock-skew": processes.clock_skew,
    "redis-away": redis.away,
    "redis-emptied": redis.emptied,
    "redis-restarted-empty": redis.restarted_empty,
    "redis-slow": redis.slow,
    "redis-read-only": redis.read_only,
    "redis-out-of-memory": redis.out_of_memory,
    "redis-failover": redis.failover,
    "postgres-restarted": ledger.postgres_restarted,
    "postgres-killed": ledger.postgres_killed,
    "postgres-connections-cut": ledger.postgres_connections_cut,
    "postgres-out-of-disk": ledger.postgres_out_of_disk,
    "postgres-clock": ledger.postgres_clock,
    "sqlite-locked": ledger.sqlite_locked,
    "network": network.network,
    "injected": injected.injected,
    "herd": load.herd,
    "long-jobs": load.long_jobs,
    "poison": load.poison,
    "service-down": load.service_down,
    "forged-messages": people.forged_messages,
    "queue-purged": people.queue_purged,
    "rows-deleted": people.rows_deleted,
    "letters-discarded": people.letters_discarded,
    "wrong-setting": people.wrong_setting,
}
#: Those that can be done from outside, to a platform that somebody else runs.
FROM_OUTSIDE = frozenset(
    {"kill", "freeze", "redis-emptied", "injected", "herd", "long-jobs", "poison", "forged-messages", "queue-purged"}
)

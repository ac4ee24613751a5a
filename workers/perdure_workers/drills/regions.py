"""A platform in two regions: the ledger's primary in A, a standby of it in B, workers and a Redis in each."""

from __future__ import annotations

from typing import Literal

from perdure.settings.ledger_url import WRITABLE
from perdure.system.extras import extra
from perdure.system.ports import LOOPBACK
from perdure_workers.chaos.cluster import CHILDREN, Cluster
from perdure_workers.chaos.platforms import BUSY
from perdure_workers.chaos.proxy import Conditions
from perdure_workers.embedded.redis import RedisServer, redis_url

Region = Literal["a", "b"]

#: Seconds that bytes take from one region to the other.
DISTANCE_S = 0.02
NAME = "chaos"
#: Bulkheads with a worker in each region, and its children. One bulkhead is served from afar as long as A is there.
WORKERS: dict[Region, dict[str, int]] = {"a": {BUSY: CHILDREN}, "b": {BUSY: CHILDREN, "critical": 1}}


class Regions(Cluster):
    """Two regions. The standby is asynchronous: nobody waits for it, and what it does not have yet is lost with A.

    Clients submit to A as long as it is there, and ring in its Redis.
    """

    def lag(self) -> None:
        """Hold up what the primary sends to its standby from now on."""
        self.proxies["stream"].impose(Conditions(latency=DISTANCE_S, held=("down",)))

    def lose_a(self) -> None:
        """End everything in region A at once, and what is on its way from there."""
        from perdure_workers.embedded.standby import lose

        lose(self._primary)
        self.redis.kill()
        self._end_workers("a")
        for proxy in self.proxies.values():
            proxy.impose(Conditions(cut=True, refused=True))

    def stop_workers_of_b(self) -> None:
        """End them, and do not start them again before :meth:`start_workers_of_b`."""
        self._end_workers("b")

    def promote_b(self) -> None:
        """Have the standby take writes."""
        from perdure_workers.embedded.standby import promote

        promote(self._standby)

    def start_workers_of_b(self) -> None:
        """Start the workers of region B."""
        self._add_workers("b")
        for worker in self.children.values():
            worker.spawn()

    def _end_workers(self, region: Region) -> None:
        ended = [name for name in self.children if name.endswith(f"-{region}")]
        for child in [self.children.pop(name) for name in ended]:
            child.kill()

    def _start_servers(self) -> None:
        with extra("postgres", "a drill with two regions"):
            from perdure_workers.embedded.postgres import SUPERUSER, PostgresServer
            from perdure_workers.embedded.standby import copy_for_standby
        self.redis = self._open.enter_context(RedisServer(self._data / "redis-a", die_with_parent=True))
        redis_b = self._open.enter_context(RedisServer(self._data / "redis-b", die_with_parent=True))
        self.broker_url = redis_url(self.redis.port, self.redis.password)
        self._broker_of_b = redis_url(redis_b.port, redis_b.password)

        self._primary = self._open.enter_context(PostgresServer(self._data / "postgres-a", die_with_parent=True))
        self._primary.create_database(NAME)
        stream = self.proxies["stream"] = self._proxy(self._primary.port)
        to_a = self.proxies["postgres"] = self._proxy(self._primary.port)
        copy_for_standby(self._primary, self._data / "postgres-b", stream.port)
        self._standby = self._open.enter_context(PostgresServer(self._data / "postgres-b", die_with_parent=True))
        for proxy in (stream, to_a):
            proxy.impose(Conditions(latency=DISTANCE_S))
        login = f"postgresql+psycopg://{SUPERUSER}:{self._primary.password}@/{NAME}?{WRITABLE}=read-write"
        hosts_of_a, hosts_of_b = ((first, self._standby.port) for first in (self._primary.port, to_a.port))
        self.ledger_url = self.direct_ledger_url = login + "".join(f"&host={LOOPBACK}:{port}" for port in hosts_of_a)
        self._ledger_of_b = login + "".join(f"&host={LOOPBACK}:{port}" for port in hosts_of_b)
        self._open_ledger()

    def _start_processes(self) -> None:
        self._add_workers("a")
        self._add_workers("b")
        self._spawn_all()

    def _add_workers(self, region: Region) -> None:
        settings = (
            {} if region == "a" else {"PERDURE_LEDGER_URL": self._ledger_of_b, "PERDURE_BROKER_URL": self._broker_of_b}
        )
        for bulkhead, children in WORKERS[region].items():
            name = f"{bulkhead}-{region}"
            self._add("worker", name, bulkhead, "-c", str(children), "-n", name, bulkhead=bulkhead, **settings)

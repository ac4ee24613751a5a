"""A platform of real processes to be broken: servers of its own behind proxies, workers, a supervisor, Flower."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from perdure import Perdure
from perdure.errors import PerdureError
from perdure.system.extras import extra
from perdure.system.ports import free_port
from perdure_workers.chaos.evidence import FOLDER
from perdure_workers.chaos.jobs import chaos_app, paid
from perdure_workers.chaos.platforms import BUSY, LedgerKind, Target, children_of
from perdure_workers.chaos.proxy import Proxy
from perdure_workers.embedded.redis import RedisServer, redis_url
from perdure_workers.up.backoff import Backoff
from perdure_workers.up.processes import Child, ProcessSpec, State

if TYPE_CHECKING:
    from perdure_workers.embedded.postgres import PostgresServer

APP = "perdure_workers.chaos.app"
#: Children of each of its workers.
CHILDREN = 2
#: Crashes and drains that a job may see: here the platform's processes are killed, and jobs are not to blame.
MAX_CRASHES, MAX_HAND_BACKS = 10, 50
DRAIN_S = 5.0
#: Seconds that all may take to be ready.
START_S = 120.0
LOOK_S = 0.05
#: The proxy's kernel answers the server's probes for clients that are gone, so that probes do not end their transactions.
_FOR_THE_DEAD = "ALTER DATABASE chaos SET idle_in_transaction_session_timeout = '15s'"
#: What the lab has to say of a platform that does not start, in characters of its log.
_TAIL = 2000


class LabFailed(PerdureError):
    """The lab cannot go on; the message says what failed and what it said."""


class Cluster:
    """The platform of one scenario. Call it from the main thread only, and :meth:`keep` again and again.

    Args:
        folder: Where logs and evidence go; they stay.
        data: Where the servers' data go; of no use afterwards.
        ledger: The kind of the ledger's database.
        app_path: Where workers find the application.
        flower: Whether Flower runs.
    """

    max_crashes = MAX_CRASHES
    prefix = ""
    since: float | None = None
    has_own_redis = True

    def __init__(self, folder: Path, data: Path, ledger: LedgerKind, app_path: str, *, flower: bool) -> None:
        self.folder, self.ledger_kind = folder, ledger
        self._data, self._app_path, self._flower = data, app_path, flower
        self._open = ExitStack()
        self.children: dict[str, Child] = {}
        self.proxies: dict[str, Proxy] = {}
        self.postgres: PostgresServer | None = None

    def __enter__(self) -> Self:
        try:
            self._start_servers()
            self._start_processes()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def keep(self) -> None:
        """Start again what has ended, as whoever runs the platform in earnest does."""
        for child in self.children.values():
            child.step()

    def workers(self) -> list[Child]:
        """Return the workers that run."""
        return [child for child in self.children.values() if child.spec.role == "worker" and child.pid]

    def pids(self, target: Target) -> list[int]:
        """Return the processes of a kind that run now."""
        if target == "child":
            return [pid for worker in self.workers() for pid in children_of(worker.pid)]
        if target == "everything":
            return [pid for child in self.children.values() for pid in [*children_of(child.pid), child.pid] if pid]
        if target == "worker":
            return [worker.pid for worker in self.workers() if worker.pid and worker.spec.bulkhead == BUSY]
        return [child.pid for child in self.children.values() if child.spec.role == target and child.pid]

    def is_ready(self) -> bool:
        """Tell whether all processes run."""
        return all(child.state is State.RUNNING for child in self.children.values())

    def await_ready(self) -> None:
        """Keep the processes until all are ready.

        Raises:
            LabFailed: They are not in time.
        """
        give_up_at = time.monotonic() + START_S
        while not self.is_ready():
            self.keep()
            if time.monotonic() > give_up_at:
                late = next(child for child in self.children.values() if child.state is not State.RUNNING)
                raise LabFailed(
                    f"{late.spec.name} is not ready. {late.log_file} says:\n{late.log_file.read_text()[-_TAIL:]}"
                )
            time.sleep(LOOK_S)

    def respawn(self, child: Child, env: dict[str, str]) -> None:
        """End a process in order, and start it with these variables besides those that all have."""
        child.spec = replace(child.spec, env={**self._environment, **env})
        child.restart()

    def adopt_redis(self, server: RedisServer) -> None:
        """Have another Redis answer at the address of the one before."""
        self.redis = self._open.enter_context(server)
        self.proxies["redis"].aim(server.port)

    def lose_jobs(self) -> None:
        """Delete all jobs by hand, past perdure."""
        engine = self.engine()
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM perdure_jobs"))
        engine.dispose()

    @property
    def redis_url(self) -> str:
        """The Redis, past the network."""
        return self.redis.url

    def client(self) -> Perdure:
        """Return the application as a client of the platform has it: over the same network."""
        client = self._app(self.ledger_url, self.broker_url)
        self._open.callback(client.close)
        return client

    def engine(self) -> sa.Engine:
        """Return the ledger's database, past the network."""
        return sa.create_engine(self.direct_ledger_url)

    def _start_servers(self) -> None:
        self.redis = self._open.enter_context(RedisServer(self._data / "redis", die_with_parent=True))
        redis_proxy = self.proxies["redis"] = self._proxy(self.redis.port)
        self.broker_url = redis_url(redis_proxy.port, self.redis.password)
        self.ledger_url = self.direct_ledger_url = f"sqlite:///{self._data / 'ledger.db'}"
        if self.ledger_kind == "postgresql":
            with extra("postgres", "chaos on PostgreSQL"):
                from perdure_workers.embedded.postgres import PostgresServer
            self.postgres = self._open.enter_context(
                # With its commits on disk: without, its death forgets what it had promised, and jobs restart too low.
                PostgresServer(self._data / "postgres", die_with_parent=True)
            )
            self.direct_ledger_url = self.postgres.create_database("chaos")
            engine = self.engine()
            with engine.begin() as connection:
                connection.execute(sa.text(_FOR_THE_DEAD))
            engine.dispose()
            postgres_proxy = self.proxies["postgres"] = self._proxy(self.postgres.port)
            url = make_url(self.direct_ledger_url).set(port=postgres_proxy.port)
            self.ledger_url = url.render_as_string(hide_password=False)
        self._open_ledger()

    def _open_ledger(self) -> None:
        #: What the lab itself looks through: no fault of the network hits it.
        self.app = self._app(self.direct_ledger_url, self.redis.url)
        self._open.callback(self.app.close)
        self.app.ledger.upgrade()
        engine = self.engine()
        paid.create(engine)
        engine.dispose()

    def _proxy(self, port: int) -> Proxy:
        proxy = Proxy(port).start()
        self._open.callback(proxy.close)
        return proxy

    def _app(self, ledger_url: str, broker_url: str) -> Perdure:
        return chaos_app(ledger_url=ledger_url, broker_url=broker_url, home=self._data / "home", faults_allowed=True)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            FOLDER: str(self.folder),
            "PERDURE_HOME": str(self._data / "home"),
            "PERDURE_LEDGER_URL": self.ledger_url,
            "PERDURE_BROKER_URL": self.broker_url,
            "PERDURE_MAX_CRASHES": str(MAX_CRASHES),
            "PERDURE_MAX_HAND_BACKS": str(MAX_HAND_BACKS),
            "PERDURE_DRAIN_TIMEOUT": str(DRAIN_S),
            "PERDURE_FAULTS_ALLOWED": "1",
        }

    def _start_processes(self) -> None:
        for name, bulkhead, children in (("w1", BUSY, CHILDREN), ("w2", BUSY, CHILDREN), ("calm", "critical", 1)):
            self._add("worker", name, bulkhead, "-c", str(children), "-n", name, bulkhead=bulkhead)
        self._add("supervisor", "supervisor")
        if self._flower:
            self._add("flower", "flower", "--port", str(free_port()))
        self._spawn_all()

    def _spawn_all(self) -> None:
        self._open.callback(self._stop)
        for child in self.children.values():
            child.spawn()
        self.await_ready()

    def _add(
        self,
        role: Literal["worker", "supervisor", "flower"],
        name: str,
        *arguments: str,
        bulkhead: str | None = None,
        **settings: str,
    ) -> None:
        command = [str(Path(sys.executable).with_name("perdure")), "-A", self._app_path, role, *arguments]
        ready: Callable[[int], bool] | None = self._is_registered if role == "worker" else None
        spec = ProcessSpec(
            role=role,
            name=name,
            argv=command,
            bulkhead=bulkhead,
            env=self._environment | settings,
            ready=ready,
            stop_timeout=DRAIN_S + 15,
        )
        self.children[name] = Child(spec, self.folder / "logs" / f"{name}.log", Backoff(maximum=2.0))

    def _is_registered(self, pid: int) -> bool:
        try:
            return any(worker.pid == pid for worker in self.app.workers.list())
        except PerdureError:
            return False

    def _stop(self) -> None:
        for pid in self.pids("everything"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for child in self.children.values():
            child.kill()

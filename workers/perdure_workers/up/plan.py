"""What ``perdure up`` runs for an application: Redis if none is configured, workers, a supervisor, Flower."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import httpx

from perdure import Perdure
from perdure.errors import LedgerUnavailable
from perdure.system.extras import extra
from perdure.system.ports import free_port
from perdure_workers.embedded.errors import PortTaken
from perdure_workers.embedded.ports import is_free, listens
from perdure_workers.up.manager import Addresses
from perdure_workers.up.processes import ProcessSpec
from perdure_workers.up.specs import redis_spec

#: Children of a worker for each core, when the concurrency is scaled down to the machine; never fewer than two.
CHILDREN_PER_CORE = 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """The processes to run, and what they serve."""

    specs: list[ProcessSpec]
    addresses: Addresses


def make_plan(
    app: Perdure, app_path: str | None, *, concurrency: Mapping[str, int], flower: bool, flower_port: int | None
) -> Plan:
    """Return what to run.

    Args:
        app: The application.
        app_path: Where workers find it, ``module:attribute``; None for the ready-made tasks.
        concurrency: Children by bulkhead, where the setting scaled to the machine is not wanted.
        flower: Whether Flower runs.
        flower_port: Flower's port; None for the setting, or a free one when that is taken.

    Raises:
        UnknownBulkhead: ``concurrency`` names a bulkhead that is not configured.
        ServerBinaryMissing: A Redis is needed and there is no redis-server.
        PortTaken: Another process has the port that was asked for.
        MissingExtra: Flower is to run and is not installed.
    """
    for name in concurrency:
        app.bulkheads.checked(name)
    specs = [_redis(app)] if app.settings.broker_url is None else []
    specs += [_worker(app, app_path, name, concurrency.get(name) or _scaled(app, name)) for name in app.bulkheads]
    specs.append(ProcessSpec(role="supervisor", name="supervisor", argv=_command(app_path, "supervisor")))
    url = None
    if flower:
        with extra("flower", "the dashboard (to start without it: --no-flower)"):
            import_module("flower")
        port = _flower_port(app, flower_port)
        url = f"http://127.0.0.1:{port}/"
        specs.append(_flower(app_path, port, url))
    return Plan(specs, Addresses(app.settings.effective_ledger_url, app.settings.effective_broker_url, url, app_path))


def _redis(app: Perdure) -> ProcessSpec:
    home = app.settings.home_folder
    port = home.keep_redis_port(home.redis_port) if is_free(home.redis_port) else home.choose_new_redis_port()
    return redis_spec(home.ensure() / "redis", port, home.redis_password)


def _flower_port(app: Perdure, asked_for: int | None) -> int:
    if asked_for is None:
        return app.settings.flower_port if is_free(app.settings.flower_port) else free_port()
    if not is_free(asked_for):
        raise PortTaken("Flower", asked_for)
    return asked_for


def _worker(app: Perdure, app_path: str | None, bulkhead: str, children: int) -> ProcessSpec:
    argv = [*_command(app_path, "worker"), bulkhead, "-c", str(children)]
    return ProcessSpec(
        role="worker", name=bulkhead, bulkhead=bulkhead, argv=argv, ready=lambda pid: _is_registered(app, pid),
        stop_timeout=app.settings.drain_timeout + 15.0,
    )  # fmt: skip


def _flower(app_path: str | None, port: int, url: str) -> ProcessSpec:
    argv = [*_command(app_path, "flower"), "--port", str(port)]
    return ProcessSpec(role="flower", name="flower", argv=argv, ready=lambda pid: listens(pid, port) and _answers(url))


def _command(app_path: str | None, command: str) -> list[str]:
    return [str(Path(sys.executable).with_name("perdure")), *(["-A", app_path] if app_path else []), command]


def _scaled(app: Perdure, bulkhead: str) -> int:
    most = max(2, int((os.cpu_count() or 1) * CHILDREN_PER_CORE))
    return min(app.settings.bulkheads[bulkhead].concurrency, most)


def _is_registered(app: Perdure, pid: int) -> bool:
    try:
        return any(worker.pid == pid for worker in app.workers.list())
    except LedgerUnavailable:
        return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).status_code in (200, 401)
    except httpx.HTTPError:
        return False

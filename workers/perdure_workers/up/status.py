"""What runs in a home folder now, checked against the living processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import psutil

from perdure_workers.recovery.pulse import beats
from perdure_workers.up.processes import State
from perdure_workers.up.runtime import ProcessRecord, Runtime


class ProcessStatus(TypedDict):
    """One process."""

    role: str
    name: str
    bulkhead: str | None
    pid: int | None
    children: list[int]
    state: str
    http: str | None


class Status(TypedDict):
    """The object of ``perdure status --json``."""

    home: str
    ledger_url: str
    redis_url: str
    flower_url: str | None
    processes: list[ProcessStatus]


def read_status(home: Path) -> Status | None:
    """Return what runs in a home folder, or ``None`` when ``perdure up`` runs nothing there.

    URLs are whole, passwords included: mask them before you print them.
    """
    runtime = Runtime.read(home)
    if runtime is None:
        return None
    managed = runtime.managed
    http = {beat.pid: beat.http for beat in beats(home)}
    processes = [process_status(record, http, managed=managed) for record in runtime.processes]
    if not managed and all(process["state"] == State.STOPPED for process in processes):
        return None
    return Status(
        home=runtime.home,
        ledger_url=runtime.ledger_url,
        redis_url=runtime.redis_url,
        flower_url=runtime.flower_url,
        processes=processes,
    )


def process_status(record: ProcessRecord, http: Mapping[int, str | None], *, managed: bool) -> ProcessStatus:
    """Return what one process does now.

    Args:
        record: what the manager wrote about it.
        http: where processes serve their probes, by process id.
        managed: whether the manager lives, which will start a dead process again.
    """
    process = record.identity.process() if record.identity else None
    children: list[int] = []
    state = record.state
    if process is not None:
        try:
            children = sorted(child.pid for child in process.children())
        except psutil.NoSuchProcess:
            process = None
    if process is None and state is not State.STOPPED:
        state = State.BACKOFF if managed else State.STOPPED
    return ProcessStatus(
        role=record.role,
        name=record.name,
        bulkhead=record.bulkhead,
        pid=process.pid if process else None,
        children=children,
        state=state.value,
        http=http.get(process.pid) if process else None,
    )

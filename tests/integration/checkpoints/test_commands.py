"""``perdure checkpoints`` and ``perdure jobs show``: what people see of checkpoints, and how they mend them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from perdure import JobContext, Perdure
from perdure.ledger.jobs.notes import NoteKind
from perdure.ledger.schema import checkpoints
from perdure_workers.supervisor.maintenance import prune
from support.cli import invoke
from support.ledgers import SUCCEED, running
from support.waiting import wait_until

Attempts = Callable[..., JobContext]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [tmp_path / name for name in ("a", "b", "c")]


@pytest.fixture
def threefold(app: Perdure, folders: list[Path]) -> Iterator[Perdure]:
    """The application with its checkpoints in three folders."""
    url = app.ledger.database.engine.url.render_as_string(hide_password=False)
    made = Perdure(
        ledger_url=url,
        broker_url=app.settings.broker_url,
        home=app.settings.home,
        checkpoint_store=[f"{folder}/" for folder in folders],
        checkpoint_timeout=30,
        retention=0.001,
        checkpoint_secret="a secret of these tests, which makes one good copy enough",
    )
    yield made
    made.close()


def saved(app: Perdure) -> JobContext:
    ctx = JobContext(running(app.ledger), app.ledger, storage=app.storage)
    ctx.checkpoint.save({"row": 1})
    app.storage.drain(30)
    return ctx


def frames(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.ckpt"))


def test_verify_finds_and_repair_mends(threefold: Perdure, folders: list[Path]) -> None:
    ctx = saved(threefold)
    assert json.loads(invoke(threefold, "checkpoints", "verify", "--json").stdout)["faults"] == []
    [frame] = frames(folders[0])
    good = frame.read_bytes()
    frame.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    [stale] = frames(folders[1])
    stale.unlink()

    found = invoke(threefold, "checkpoints", "verify", "--json")
    assert found.exit_code == 1
    [fault] = json.loads(found.stdout)["faults"]
    assert fault["job"] == ctx.job_id
    assert "stale" in fault["what"]
    assert str(folders[0]) in fault["what"]

    mended = invoke(threefold, "checkpoints", "repair", "--json")
    assert (mended.exit_code, json.loads(mended.stdout)["repaired"]) == (0, 1)
    assert invoke(threefold, "checkpoints", "verify").exit_code == 0
    assert frame.read_bytes() == good


def test_repair_removes_what_nobody_will_load(threefold: Perdure, folders: list[Path]) -> None:
    ctx = saved(threefold)
    threefold.ledger.jobs.settle(ctx.claim, SUCCEED)
    assert json.loads(invoke(threefold, "checkpoints", "repair", "--json").stdout)["removed"] == 1
    assert [frames(folder) for folder in folders] == [[], [], []]


def test_pruning_takes_checkpoints_along(threefold: Perdure, folders: list[Path]) -> None:
    ctx, other = saved(threefold), saved(threefold)
    threefold.ledger.jobs.settle(ctx.claim, SUCCEED)
    wait_until(lambda: prune(threefold)["succeeded"] == 1)
    assert [len(frames(folder)) for folder in folders] == [1, 1, 1]
    assert json.loads(invoke(threefold, "checkpoints", "verify", "--json").stdout)["checked"] == 1
    assert JobContext(other.claim, threefold.ledger, storage=threefold.storage).checkpoint.load() == {"row": 1}


def test_one_store_is_verified_and_not_mended(app: Perdure) -> None:
    saved(app)
    assert json.loads(invoke(app, "checkpoints", "verify", "--json").stdout) == {"checked": 1, "faults": []}
    refused = invoke(app, "checkpoints", "repair")
    assert (refused.exit_code, "checkpoint_store must name several" in refused.stderr) == (2, True)


def test_a_job_shows_its_checkpoint_progress_steps_and_notes(app: Perdure) -> None:
    ctx = saved(app)
    ctx.progress(25, 100, "rows")
    ctx.step("quote", lambda: "secret result")
    ctx.note(NoteKind.CHECKPOINT_DAMAGED, "seq 2 is damaged; seq 1 is used")
    shown = invoke(app, "jobs", "show", ctx.job_id).stdout
    for text in ("number 1, ", "25 of 100 (25%) rows", "quote", "seq 2 is damaged; seq 1 is used"):
        assert text in shown
    found: dict[str, Any] = json.loads(invoke(app, "jobs", "show", ctx.job_id, "--json").stdout)
    assert [step["name"] for step in found["steps"]] == ["quote"]
    assert [note["kind"] for note in found["notes"]] == ["checkpoint_damaged"]
    assert "secret result" not in shown + json.dumps(found)


def test_one_store_that_is_damaged_is_told(app: Perdure) -> None:
    ctx = saved(app)
    app.ledger.transact(lambda c: c.execute(update(checkpoints).values(data=b"PDCK broken")))
    found = invoke(app, "checkpoints", "verify", "--json")
    assert found.exit_code == 1
    [fault] = json.loads(found.stdout)["faults"]
    assert fault["job"] == ctx.job_id

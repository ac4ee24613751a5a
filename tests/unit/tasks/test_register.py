"""The ready-made tasks as an application has them."""

from __future__ import annotations

from pathlib import Path

import pytest

import perdure_tasks
from perdure import Perdure, RetryPolicy
from perdure_tasks import named, webhooks
from perdure_tasks.importing import target


def test_register_adds_all_tasks_with_their_bulkheads(tmp_path: Path) -> None:
    app = Perdure(home=tmp_path)
    perdure_tasks.register(app)
    bulkheads = {task.name: task.bulkhead for task in app.tasks.values()}
    assert bulkheads == {"webhooks.deliver": "critical", "tables.import_csv": "normal", "files.archive": "background"}
    assert all(task.signature.takes_context for task in app.tasks.values())
    assert app.tasks["webhooks.deliver"].retry is webhooks.RETRY


def test_retries_can_be_chosen(tmp_path: Path) -> None:
    app = Perdure(home=tmp_path)
    perdure_tasks.register(app, retries={"webhooks.deliver": "fast", "files.archive": RetryPolicy(max_retries=1)})
    assert app.tasks["webhooks.deliver"].retry == RetryPolicy.named("fast")
    assert app.tasks["files.archive"].retry.max_retries == 1


def test_secrets_of_tasks_are_not_taken_for_misspelt_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for prefix in (webhooks.SECRET_PREFIX, target.DATABASE_PREFIX):
        for name in ("LEDGER", "BROKER", "APP"):
            monkeypatch.setenv(prefix + name, "value")
            assert named.from_environment(prefix, name.lower()) == "value"
    Perdure(home=tmp_path)

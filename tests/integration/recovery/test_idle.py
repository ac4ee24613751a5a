"""What a worker asks its ledger while nothing happens."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from perdure import Perdure
from perdure_workers.recovery import looker
from perdure_workers.recovery.looker import Looker
from perdure_workers.recovery.overseer import INTERVAL, Overseer
from perdure_workers.shared.slots import Slots
from perdure_workers.shared.wakeups import Wakeups
from perdure_workers.supervisor.supervisor import default_duties

#: Statements a second by the main process of an idle worker, with default settings; docs/performance.md says it.
MOST = 4.8


def test_an_idle_worker_asks_its_ledger_seldom(
    app: Perdure, register: Callable[..., str], statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_id = register()
    monkeypatch.setattr(app, "settings", msgspec.structs.replace(app.settings, heartbeat_interval=1.0))
    look = Looker(app, "normal", Wakeups(1), lambda: None)
    watch = Overseer(app, worker_id, list, Slots())
    rounds: dict[str, tuple[Callable[[], object], float]] = {
        "lease": (lambda: app.ledger.workers.beat(worker_id), app.settings.heartbeat_interval),
        "looker": (look.look, looker.INTERVAL),
        "overseer": (watch.look, INTERVAL),
        **{duty.name: (duty.run_once, duty.period) for duty in default_duties(app)},
    }
    asked: dict[str, float] = {}
    for name, (run, period) in rounds.items():
        run()
        statements.clear()
        for _ in range(20):  # some do a thing only now and then, and rest between by the clock
            run()
        asked[name] = len([sent for sent in statements if not sent.startswith("BEGIN")]) / 20 / period
    print(asked, sum(asked.values()))
    assert sum(asked.values()) <= MOST, asked

"""One of several processes that replay the same dead letter: prints the job that came of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from perdure import Perdure

if __name__ == "__main__":
    ledger_url, broker_url, letter_id, gate = sys.argv[1:]
    app = Perdure(ledger_url=ledger_url, broker_url=broker_url)

    @app.job(name="shop.charge", bulkhead="critical")
    def charge(order: str, cents: int) -> int:
        return cents

    app.dead_letters.get(letter_id)
    print("ready", flush=True)
    give_up_at = time.monotonic() + 60
    while not Path(gate).exists() and time.monotonic() < give_up_at:
        time.sleep(0.001)
    print(app.dead_letters.replay(letter_id, by="somebody").id, flush=True)

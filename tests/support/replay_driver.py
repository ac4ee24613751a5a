"""Several processes that replay the same dead letter at once: prints the job that came of it in each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from perdure import Perdure
from support.shop import define

PROCESSES = 8


def in_child(work: Callable[[], str], gate: int) -> int:
    """Start a process that does some work once the gate is open, and return where its answer is to be read."""
    answer, write = os.pipe()
    if os.fork() == 0:
        os.close(answer)
        os.read(gate, 1)
        os.write(write, work().encode())
        os._exit(0)
    os.close(write)
    return answer


if __name__ == "__main__":
    ledger_url, broker_url, letter_id = sys.argv[1:]
    app = Perdure(ledger_url=ledger_url, broker_url=broker_url)
    define(app)
    gate, opener = os.pipe()
    answers = [in_child(lambda: app.dead_letters.replay(letter_id, by="somebody").id, gate) for _ in range(PROCESSES)]
    os.write(opener, b"x" * PROCESSES)
    for answer in answers:
        with os.fdopen(answer) as stream:
            print(stream.read())

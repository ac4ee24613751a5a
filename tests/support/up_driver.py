"""A manager with a real Redis and small real processes in place of workers: ``python -m support.up_driver HOME ...``.

A stand-in for a worker starts one child, as a pool does, writes its pid to ``HOME/ready-NAME``, and on SIGTERM writes
``drained`` to its log and ends with 0. Variants: ``pool`` ends its child in order before it ends, and binds
the child's life to its own, as Celery does; ``stubborn`` ignores SIGTERM; ``broken`` ends at once with 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from perdure.errors import PerdureError
from perdure.system.ports import free_port
from perdure_workers.embedded.redis import redis_url
from perdure_workers.up.manager import Addresses, Manager, ProcessEvent
from perdure_workers.up.processes import ProcessSpec
from perdure_workers.up.specs import redis_spec

PASSWORD = "a-password-of-tests"
STAND_IN = """
import os, pathlib, signal, subprocess, sys
from perdure_workers.embedded.die_with_parent import end_with_parent
ready, kind, child_code = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if kind == "broken":
    sys.exit("no application named shop")
lifeline = end_with_parent(signal.SIGKILL) if kind == "pool" else None
command = [sys.executable, "-c", child_code] + ([] if kind == "pool" else ["stay"])
child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lifeline)
child.stderr.read(2)
def end(signum, frame):
    if kind == "pool":
        child.communicate()
    print("drained", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if kind == "stubborn" else end)
temporary = ready.with_suffix(".new")
temporary.write_text(str(os.getpid()))
temporary.replace(ready)
while True:
    signal.pause()
"""

CHILD = """
import signal, sys
signal.signal(signal.SIGTERM, lambda signum, frame: print("the child was signalled", flush=True))
print("up", end="", file=sys.stderr, flush=True)
sys.stdin.read()
signal.pause() if sys.argv[1:] else None
"""


def stand_in(home: Path, name: str, kind: str, stop_timeout: float) -> ProcessSpec:
    file = home / f"ready-{name}"

    def ready(pid: int) -> bool:
        return file.exists() and file.read_text() == str(pid)

    return ProcessSpec(
        role="worker",
        name=name,
        bulkhead=name,
        argv=[sys.executable, "-c", STAND_IN, str(file), kind, CHILD],
        ready=ready,
        stop_timeout=stop_timeout,
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--worker", action="append", default=[], help="NAME or NAME:KIND")
    parser.add_argument("--stop-timeout", type=float, default=30)
    options = parser.parse_args()
    home = options.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    specs = [redis_spec(home / "redis", port, PASSWORD)]
    for worker in options.worker:
        name, _, kind = worker.partition(":")
        specs.append(stand_in(home, name, kind or "good", options.stop_timeout))

    def tell(event: ProcessEvent) -> None:
        print(event.spec.name, event.state.value, event.exit_code, flush=True)

    addresses = Addresses("sqlite:///ledger.db", redis_url(port, PASSWORD))
    try:
        return Manager(home, specs, addresses, on_event=tell).run()
    except PerdureError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())

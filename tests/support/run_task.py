"""Run a ready-made task in a process of its own, with a checkpoint in a file: ``python -m support.run_task SPEC``.

SPEC is JSON: ``task`` (``files.archive``), ``kwargs``, ``checkpoint`` (a path), ``key``, and ``constants`` to set in
the task's module, such as ``{"CHECKPOINT_S": 0.0}``. The result is printed as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from support.context import RecordingContext


def main(text: str) -> None:
    spec = json.loads(text)
    module_name, _, function = spec["task"].partition(".")
    module = importlib.import_module(f"perdure_tasks.{module_name}")
    for name, value in spec.get("constants", {}).items():
        setattr(module, name, value)
    ctx = RecordingContext(key=spec["key"], file=Path(spec["checkpoint"]))
    print(json.dumps(getattr(module, function)(ctx, **spec["kwargs"])))


def start(spec: dict[str, Any]) -> subprocess.Popen[str]:
    """Start the task in a process of its own."""
    command = [sys.executable, "-m", "support.run_task", json.dumps(spec)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def run_under_fire(spec: dict[str, Any], *, kills: int, rng: random.Random, longest: float) -> tuple[Any, int]:
    """Kill -9 a task at random moments behind its next checkpoint, then let it finish.

    Args:
        spec: What to run.
        kills: How often.
        rng: Where the moments come from.
        longest: Seconds after a checkpoint within which it is killed.

    Returns:
        The task's result and how often it was killed in the middle.
    """
    checkpoint, killed = Path(spec["checkpoint"]), 0
    for _ in range(kills):
        before = _content(checkpoint)
        process = start(spec)
        deadline = time.monotonic() + 30
        while process.poll() is None and _content(checkpoint) == before:
            assert time.monotonic() < deadline, "no checkpoint within 30 s"
            time.sleep(0.005)
        moment = time.monotonic() + rng.uniform(0, longest)
        while process.poll() is None and time.monotonic() < moment:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        killed += process.returncode == -signal.SIGKILL
    process = start(spec)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(output), killed


def _content(file: Path) -> str:
    return file.read_text() if file.exists() else ""


if __name__ == "__main__":
    main(sys.argv[1])

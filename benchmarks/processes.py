"""What trees of processes use, and their end."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.environments import inherited

STOP_TIMEOUT_SECONDS = 20.0


class Tree:
    """Some processes and all that they started.

    Args:
        roots: their process ids.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in roots]

    def members(self) -> list[psutil.Process]:
        """Return the processes that live now."""
        found: dict[int, psutil.Process] = {}
        for root in self._roots:
            with suppress(psutil.NoSuchProcess):
                found |= {process.pid: process for process in (root, *root.children(recursive=True))}
        return list(found.values())

    def cpu(self) -> float:
        """Return the CPU seconds used so far, those of ended and awaited children included."""
        total = 0.0
        for process in self.members():
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # user, system, and both of the children that ended
        return total

    def pss(self) -> float:
        """Return the megabytes in use, what several processes share counted once."""
        return sum(_pss(process.pid) for process in self.members()) / 1024

    def stop(self) -> None:
        """End the roots in order, then kill what is left of the trees."""
        everyone = self.members()
        for root in self._roots:
            with suppress(psutil.NoSuchProcess):
                root.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(everyone, STOP_TIMEOUT_SECONDS)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, STOP_TIMEOUT_SECONDS)


@contextmanager
def running(commands: Sequence[Sequence[str]], environment: Mapping[str, str], log: Path) -> Iterator[Tree]:
    """Run commands until the end of the block; what they say goes to a file."""
    with log.open("ab") as out:
        started = [
            subprocess.Popen(
                command,
                cwd=log.parent,
                env={**inherited(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            for command in commands
        ]
    tree = Tree(process.pid for process in started)
    try:
        yield tree
    finally:
        tree.stop()
        for process in started:
            process.wait(STOP_TIMEOUT_SECONDS)


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)

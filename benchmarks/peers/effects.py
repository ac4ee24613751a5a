"""What each job of the comparison does, whoever runs it: append one record to a file.

This folder is on the path of every peer's own environment, so its modules use the standard library and that peer alone.
"""

import os
import time

PATH = os.environ.get("BENCH_EFFECTS", "")
#: Names the variable with another file, to which each job appends a record when it starts; only the kill league has one.
STARTS = "BENCH_STARTS"
#: Bytes of a record: the job's number, the moment of its start (Unix time), the process that ran it.
RECORD_BYTES = 37
#: After which a job that was submitted to an idle worker counts as lost.
LOST_AFTER_SECONDS = 30.0

_descriptor: int | None = None


def append(number: int, seconds: float = 0.0) -> None:
    """Sleep if asked to, then append the record of a job."""
    global _descriptor
    started = time.time()
    if STARTS in os.environ:
        _note_start(number, started)
    if seconds:
        time.sleep(seconds)
    if _descriptor is None:
        _descriptor = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_descriptor, f"{number:010d} {started:.6f} {os.getpid():07d}\n".encode())


def _note_start(number: int, started: float) -> None:
    descriptor = os.open(os.environ[STARTS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{number:010d} {started:.6f} {os.getpid():07d}\n".encode())
    os.close(descriptor)

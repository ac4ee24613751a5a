"""The reject file: bad records with line number and reason, never more and never fewer than were committed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from perdure import Discard


class RejectFile:
    """A CSV file of ``line,reason`` and the record's own fields, encoded as UTF-8.

    Args:
        path: The file; made when there is a first reject.
        header: The imported file's header.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        self._header = header

    def check(self, size: int) -> None:
        """See that what was committed is still there.

        Args:
            size: Bytes that the last committed batch left.

        Raises:
            Discard: The file is shorter.
        """
        found = self.path.stat().st_size if self.path.exists() else 0
        if found < size:
            raise Discard(
                f"{self.path} has {found} bytes and not the {size} of rejects written so far. Is this the worker that "
                "began the import? Restore the file and replay this job."
            )

    def append(self, size: int, rejects: Sequence[tuple[int, str, Sequence[str]]]) -> int:
        """Append rejects behind a committed size, dropping what a crashed attempt wrote there.

        Args:
            size: Bytes that the last committed batch left.
            rejects: Line, reason and fields of each.

        Returns:
            The file's new size, safely on the disk.
        """
        if not rejects:
            return size
        text = io.StringIO()
        writer = csv.writer(text)
        if size == 0:
            writer.writerow(["line", "reason", *self._header])
        writer.writerows([line, reason, *fields] for line, reason, fields in rejects)
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.truncate(size)
            file.seek(size)
            file.write(text.getvalue().encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def finish(self, size: int) -> str | None:
        """Drop what a crashed attempt wrote behind the last batch; return the file's path if it has rejects."""
        if size == 0:
            self.path.unlink(missing_ok=True)
            return None
        os.truncate(self.path, size)
        return str(self.path)

"""The reject file: bad records with line number and reason, never more and never fewer than were committed.

It is made once, where nothing was before, and only what was made here is ever changed or removed. A second, hidden name
of the same file (a hard link named after the import) tells so after a crash; it is there as long as the import lasts.
"""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from perdure import Discard
from perdure_tasks.safe_files import open_regular

#: A cell that begins so is a formula to spreadsheets, and some run programs.
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_COLUMNS = ("line", "reason")


class RejectFile:
    """A CSV file of ``line,reason`` and the record's own fields, encoded as UTF-8.

    Args:
        places: Where it may be; the first place where nothing is is taken.
        token: What tells this import from others, the same in each attempt.
        header: The imported file's header.
    """

    def __init__(self, places: Sequence[Path], token: str, header: Sequence[str]) -> None:
        self._places, self._header = places, header
        self.path = places[0]
        self._mark = self.path.with_name(f".{token}.rejects.part")

    def find(self, size: int) -> None:
        """Find the file's place, and see that what was committed is still there.

        Args:
            size: Bytes that the last committed batch left.

        Raises:
            Discard: Something else is there, or the file is shorter.
        """
        self.path = self._place(size)
        if size == 0:
            if os.path.lexists(self.path) and not self._is_mine(self.path):
                raise self._taken()
            return
        found = self._committed_size()
        if found < size:
            raise Discard(
                f"{self.path} has {found} bytes and not the {size} of rejects written so far. Is this the worker that "
                "began the import? Restore the file and replay this job."
            )

    def left_open(self, size: int) -> bool:
        """Find the file's place behind the last batch, and tell whether its attempt died before :meth:`finish`."""
        self.path = self._place(size)
        return self._is_mine(self.path)

    def append(self, size: int, rejects: Sequence[tuple[int, str, Sequence[str]]]) -> int:
        """Append rejects behind a committed size, dropping what a crashed attempt wrote there.

        Args:
            size: Bytes that the last committed batch left.
            rejects: Line, reason and fields of each.

        Returns:
            The file's new size, safely on the disk.

        Raises:
            Discard: Something else is there now.
        """
        if not rejects:
            return size
        text = io.StringIO()
        writer = csv.writer(text)
        if size == 0:
            self._make()
            writer.writerow(map(_cell, [*_COLUMNS, *self._header]))
        writer.writerows([line, *map(_cell, [reason, *fields])] for line, reason, fields in rejects)
        with os.fdopen(open_regular("reject_path", self.path, os.O_RDWR), "r+b") as file:
            file.truncate(size)
            file.seek(size)
            file.write(text.getvalue().encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def finish(self, size: int) -> None:
        """Drop what a crashed attempt wrote behind the last batch."""
        if size == 0:
            if self._is_mine(self.path):
                self.path.unlink()
        else:
            with os.fdopen(open_regular("reject_path", self.path, os.O_RDWR), "r+b") as file:
                file.truncate(size)
        self._mark.unlink(missing_ok=True)

    def _place(self, size: int) -> Path:
        mine = [place for place in self._places if self._is_mine(place)]
        if size == 0:
            mine += [place for place in self._places if not os.path.lexists(place)]
        else:  # the last place has the import's own name, which nobody else gives
            mine += [place for place in reversed(self._places) if os.path.lexists(place)]
        return mine[0] if mine else self._places[0]

    def _make(self) -> None:
        if self._is_mine(self.path):
            return
        self._mark.unlink(missing_ok=True)  # of an attempt that died before the file had its name
        os.close(open_regular("reject_path", self._mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            os.link(self._mark, self.path, follow_symlinks=False)
        except FileExistsError:
            self._mark.unlink()
            raise self._taken() from None
        except (
            OSError
        ):  # a file system without hard links: a crash before the first commit leaves a file to be removed by hand
            self._mark.unlink()
            self._make_unmarked()

    def _make_unmarked(self) -> None:
        try:
            os.close(open_regular("reject_path", self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise self._taken() from None

    def _is_mine(self, place: Path) -> bool:
        """Tell whether the file at a place is the one that this import made, which has the hidden name as well."""
        try:
            found, mark = place.lstat(), self._mark.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, mark) and stat.S_ISREG(found.st_mode)

    def _committed_size(self) -> int:
        """Return the size of the file that this import has begun, 0 when there is none or another one."""
        begins = b",".join(column.encode() for column in _COLUMNS)
        try:
            with os.fdopen(open_regular("reject_path", self.path), "rb") as file:
                is_another = os.path.lexists(self._mark) and not self._is_mine(self.path)
                is_another = is_another or not begins.startswith(file.read(len(begins)))
                return 0 if is_another else os.fstat(file.fileno()).st_size
        except (OSError, Discard):
            return 0

    def _taken(self) -> Discard:
        return Discard(
            f"reject_path {str(self.path)!r} is there already, and this import did not make it. Name another one, or "
            "move it away and replay this job."
        )


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text

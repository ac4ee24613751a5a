"""The demo's input: an inventory of the tree as CSV, one row for each file, and a few rows that are truly bad."""

from __future__ import annotations

import csv
import hashlib
import random
import stat
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from perdure_tasks.archiving.state import shown
from perdure_tasks.archiving.walk import Entry, walk

#: Caches that change while Python runs, and what is installed beside the standard library.
EXCLUDE = ["__pycache__", "site-packages", "dist-packages"]
#: More files than this are archived, but not listed: the demo shall end while it is watched.
MOST_LISTED = 5000

inventory = sa.Table(
    "inventory",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),  # not the path: a row that came twice would be there twice
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("modified", sa.DateTime, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
)
HEADER = ["path", "size", "modified", "sha256"]


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of the tree.

    Attributes:
        path: Its path below the tree.
        size: Its bytes.
        modified: When it was modified, UTC.
        sha256: The hash of its content.
    """

    path: str
    size: int
    modified: datetime
    sha256: str

    @property
    def fields(self) -> list[str]:
        """The file's row in the CSV file."""
        return [self.path, str(self.size), self.modified.isoformat(), self.sha256]


def default_tree() -> Path:
    """Return the standard library of the Python that runs."""
    return Path(sysconfig.get_path("stdlib"))


def exclusions(tree: Path, home: Path) -> list[str]:
    """Return what the archive leaves out; the home folder too, where it lies in the tree."""
    inside = home.resolve().is_relative_to(tree.resolve())
    return [*EXCLUDE, str(home.resolve().relative_to(tree.resolve()))] if inside else EXCLUDE


def total_bytes(tree: Path, exclude: list[str]) -> int:
    """Return the bytes of the files that will be archived."""
    return sum(entry.status.st_size for entry in _files(tree, exclude))


def list_files(tree: Path, exclude: list[str]) -> list[FileRow]:
    """Return the tree's first files, with their hashes."""
    rows: list[FileRow] = []
    for entry in _files(tree, exclude):
        with (tree / entry.path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        modified = datetime.fromtimestamp(int(entry.status.st_mtime), UTC)
        rows.append(FileRow(shown(entry.path), entry.status.st_size, modified, digest))
        if len(rows) == MOST_LISTED:
            break
    return rows


def write_csv_files(folder: Path, rows: list[FileRow], *, per_file: int, bad: int, seed: int) -> list[Path]:
    """Write the inventory as several CSV files and return their paths.

    Args:
        folder: Where to.
        rows: The inventory.
        per_file: Rows of one CSV file.
        bad: So many bad rows are added among them.
        seed: Where they go.
    """
    rng = random.Random(seed)  # noqa: S311 - places, not secrets
    records = [row.fields for row in rows]
    for number in range(bad):
        records.insert(rng.randrange(len(records) + 1), _bad(number))
    paths = []
    for number, start in enumerate(range(0, len(records), per_file), 1):
        paths.append(folder / f"inventory-{number:02}.csv")
        with paths[-1].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(records[start : start + per_file])
    return paths


def _bad(number: int) -> list[str]:
    """Return a row that no inventory can hold, of one kind after the other."""
    moment, digest = "2026-01-31T12:00:00", "0" * 64
    kinds = [
        ["no/size", "unknown", moment, digest],
        ["no/such/day", "1", "2026-02-30T12:00:00", digest],
        ["a/field/is/missing", "1", moment],
        ["a/comma, unquoted", "1", moment, digest, "too many"],
        ["long/hash", "1", moment, digest + "0"],
    ]
    return kinds[number % len(kinds)]


def _files(tree: Path, exclude: list[str]) -> Iterator[Entry]:
    for entry in walk(tree, exclude=exclude):
        if isinstance(entry, Entry) and stat.S_ISREG(entry.status.st_mode):
            yield entry

"""Checking the results where they are, and not by what the jobs say of them."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from perdure_workers.demo.data import inventory


@dataclass(frozen=True, slots=True)
class Verified:
    """What hashing showed.

    Attributes:
        files: Files whose content is what the manifest says, in the tree and in the archive.
        wrong: Those of which that is not so.
    """

    files: int
    wrong: list[str]


def verify_archive(tree: Path, archive: Path, manifest: Path) -> Verified:
    """Hash every file of the manifest twice, in the tree and in the archive.

    Args:
        tree: The folder that was archived.
        archive: The tar.
        manifest: Its manifest; its names must need no escapes to be compared.
    """
    said = dict(_line(line) for line in manifest.read_bytes().splitlines())
    with tarfile.open(archive) as tar:
        archived = {member.name: _hash_of_member(tar, member) for member in tar if member.isfile()}
    wrong = sorted(set(said) ^ set(archived))
    for name, digest in said.items():
        with (tree / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not digest == found == archived.get(name):
            wrong.append(name)
    return Verified(len(said) - len(wrong), wrong)


def count_rows(database: str) -> tuple[int, int]:
    """Return how many rows the inventory table has, and how many different paths."""
    engine = sa.create_engine(database)
    with engine.connect() as connection:
        rows, paths = connection.execute(sa.select(sa.func.count(), sa.func.count(inventory.c.path.distinct()))).one()
    engine.dispose()
    return rows, paths


def _line(line: bytes) -> tuple[str, str]:
    escaped = line.startswith(b"\\")
    digest, _, name = line.removeprefix(b"\\").partition(b"  ")
    if escaped:
        name = name.replace(b"\\n", b"\n").replace(b"\\r", b"\r").replace(b"\\\\", b"\\")
    return name.decode("utf-8", "surrogateescape"), digest.decode()


def _hash_of_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = tar.extractfile(member)
    assert content is not None
    return hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads like a file

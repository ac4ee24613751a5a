"""Write dist/RELEASE.md: what a release changes, by CHANGELOG.md, and the checksums of its files. ``make release`` does so.

It is refused while the version in pyproject.toml has no section, ``## 1.2.3 (2026-12-31)``, at the top of the changelog.
Whoever publishes signs that one file, and with it all the others.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTES = "RELEASE.md"
SECTION = re.compile(r"^## (?P<title>.+)\n(?P<body>(?:(?!## ).*\n?)*)", re.MULTILINE)


def changes(changelog: str, version: str) -> str:
    """Return what the changelog says of a version.

    Raises:
        ValueError: It does not begin with that version and a date.
    """
    newest = SECTION.search(changelog)
    if newest is None or not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", newest["title"]):
        found = "nothing" if newest is None else repr(newest["title"])
        raise ValueError(
            f"CHANGELOG.md begins with {found}; a release of {version} begins with '## {version} (YYYY-MM-DD)'"
        )
    return newest["body"].strip()


def notes(folder: Path, version: str, changed: str) -> str:
    """Return the release notes: the changes, and the checksum of each file in a folder."""
    files = sorted(file for file in folder.iterdir() if file.name not in (NOTES, ".gitignore"))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
    return "\n".join([f"# perdure {version}", "", changed, "", "## SHA-256", "", "```text", *sums, "```", ""])


def main(folder: Path) -> None:
    """Write the notes of what ``make release`` has built."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        changed = changes((ROOT / "CHANGELOG.md").read_text(), version)
    except ValueError as error:
        sys.exit(str(error))
    (folder / NOTES).write_text(notes(folder, version, changed))
    print(folder / NOTES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

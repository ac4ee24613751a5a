"""Write dist/RELEASE.md: what a release changes, by CHANGELOG.md, and the checksums of its files. ``make release`` does so.

It is refused while the version in pyproject.toml has no section, ``## 1.2.3 (2026-12-31)``, at the top of the changelog.
``make release SIGN=KEY`` signs that one file with a key of OpenSSH, and with it all the others; see docs/security.md.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTES = "RELEASE.md"
SIGNATURE = f"{NOTES}.sig"
#: What a signature is for, so that one made for something else counts for nothing here.
NAMESPACE = "perdure"
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
    files = sorted(file for file in folder.iterdir() if file.name not in (NOTES, SIGNATURE, ".gitignore"))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
    return "\n".join([f"# perdure {version}", "", changed, "", "## SHA-256", "", "```text", *sums, "```", ""])


def sign(folder: Path, key: str) -> Path:
    """Sign the notes with a private key, or with the agent's when ``key`` is the public one; return the signature."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", key, str(folder / NOTES)]
    subprocess.run(command, check=True)  # noqa: S603 - no shell, and a key that its owner named
    return folder / SIGNATURE


def main(folder: Path, key: str | None = None) -> None:
    """Write the notes of what ``make release`` has built, and sign them if there is a key."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        changed = changes((ROOT / "CHANGELOG.md").read_text(), version)
    except ValueError as error:
        sys.exit(str(error))
    (folder / NOTES).write_text(notes(folder, version, changed))
    print(folder / NOTES)
    print(sign(folder, key) if key else "NOT SIGNED: make release SIGN=KEY signs it")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

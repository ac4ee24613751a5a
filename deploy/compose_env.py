"""Write ``.env`` for docker-compose.yml: ``.env.example`` with new passwords. Run by ``make compose-env``."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def filled_in(example: str) -> str:
    """Return the text of ``.env.example`` with a password of 192 random bits wherever one is wanted."""
    return re.sub(r"(?m)^(\w+_PASSWORD)=$", lambda match: f"{match[1]}={secrets.token_hex(24)}", example)


def main(folder: Path = ROOT) -> int:
    """Write the file for this account alone and return the exit code; one that is there stays as it is."""
    target = folder / ".env"
    text = filled_in((folder / ".env.example").read_text())
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target.name} is there already and stays as it is; remove it for new passwords", file=sys.stderr)
        return 1
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    print(f"{target.name} has new passwords. Now set PERDURE_APP and PERDURE_APP_DIR in it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

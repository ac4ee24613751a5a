"""Write what docker-compose.yml needs: ``.env``, and a folder of secrets. Run by ``make compose-env``."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "secrets"


def new_secrets() -> dict[str, str]:
    """Return the files: passwords of 192 random bits each, and the URLs that contain them."""
    names = ("postgres_password", "database_password", "redis_password", "flower_password", "grafana_password")
    made = {name: secrets.token_hex(24) for name in names}
    made["ledger_url"] = f"postgresql://perdure:{made['database_password']}@postgres:5432/perdure"
    made["broker_url"] = f"redis://:{made['redis_password']}@redis:6379/0"
    return made


def write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there yet, with this mode from its first moment on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(text)


def main(root: Path = ROOT) -> int:
    """Write all of it and return the exit code; passwords that are there stay as they are, since databases know them."""
    folder, target = root / FOLDER, root / ".env"
    if there := [path.name for path in (folder, target) if path.exists()]:
        print(
            f"{' and '.join(there)}: there already, and nothing was written. Remove both for new passwords", file=sys.stderr
        )
        return 1
    # Compose binds each file as it is, and containers run as other users: the folder keeps other people out, not the files.
    folder.mkdir(mode=0o700)
    folder.chmod(0o700)
    for name, text in new_secrets().items():
        write_new(folder / name, text, 0o444)
    write_new(target, (root / ".env.example").read_text(), 0o600)
    print(f"{FOLDER}/ has new passwords, and {target.name} names an application: examples/shop, until you name yours.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

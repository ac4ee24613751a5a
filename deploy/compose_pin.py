"""Pin the images of docker-compose.yml by digest: ask their registries, and write the names to ``.env``.

A tag may be another image tomorrow; a digest is the hash of what it names. See the OCI distribution specification,
https://github.com/opencontainers/distribution-spec/blob/main/spec.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
#: In the file an image is ``${REDIS_IMAGE:-redis:8-alpine}``.
VARIABLE = re.compile(r"\$\{(\w+_IMAGE):-([^}]+)\}")
TIMEOUT_S = 30
DOCKER_HUB = "registry-1.docker.io"
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def place_of(image: str) -> tuple[str, str, str]:
    """Return the URL of an image's registry, its repository and its tag, as Docker reads the name."""
    host, slash, path = image.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = "docker.io", image if slash else f"library/{image}"
    if host == "docker.io":
        host = DOCKER_HUB
    repository, _, tag = path.partition(":")
    is_here = host.partition(":")[0] in ("localhost", "127.0.0.1")
    return f"{'http' if is_here else 'https'}://{host}", repository, tag or "latest"


def digest_of(image: str) -> str:
    """Return the digest of what an image's tag names now, for all platforms.

    Raises:
        OSError: The registry does not answer, or does not have it.
        ValueError: What it sends is not what it says.
    """
    registry, repository, tag = place_of(image)
    url = f"{registry}/v2/{repository}/manifests/{tag}"
    try:
        manifest, said = _fetch(url)
    except HTTPError as error:
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code != 401 or not challenge.lower().startswith("bearer "):
            raise
        manifest, said = _fetch(url, _token(challenge, repository))
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    if said not in (None, digest):
        raise ValueError(f"{registry} says {said}, and sent {digest}")
    return digest


def _token(challenge: str, repository: str) -> str:
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = {
        "scope": f"repository:{repository}:pull",
        **{name: asked[name] for name in ("service", "scope") if name in asked},
    }
    answer = json.loads(_fetch(f"{asked['realm']}?{urlencode(query)}")[0])
    return str(answer.get("token") or answer["access_token"])


def _fetch(url: str, token: str | None = None) -> tuple[bytes, str | None]:
    headers = {"Accept": ", ".join(MANIFESTS)} | ({"Authorization": f"Bearer {token}"} if token else {})
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT_S) as answer:  # noqa: S310 - registries that the file names
        return answer.read(), answer.headers.get("Docker-Content-Digest")


def set_in(text: str, name: str, value: str) -> str:
    """Return the text of a ``.env`` in which a variable has a value, in its old place if it had one."""
    line = f"{name}={value}"
    changed, count = re.subn(rf"(?m)^{name}=.*$", line, text)
    return changed if count else f"{text.rstrip()}\n{line}\n"


def main(root: Path = ROOT) -> int:
    """Pin all images, or none; return the exit code."""
    target = root / ".env"
    if not target.exists():
        print(f"there is no {target.name}: run make compose-env", file=sys.stderr)
        return 1
    text = target.read_text()
    for name, image in VARIABLE.findall((root / "docker-compose.yml").read_text()):
        try:
            pinned = f"{image}@{digest_of(image)}"
        except (URLError, OSError, ValueError, KeyError) as error:
            print(f"{image}: {error}. Nothing was written", file=sys.stderr)
            return 1
        print(f"{name}={pinned}")
        text = set_in(text, name, pinned)
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write deploy/kubernetes/perdure.yaml: the Helm chart with its default values, for those who have no Helm. Needs `helm`.

The file's first line has the chart's digest, so that a test sees when the chart has changed and this was not run.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy/helm/perdure"
MANIFEST = ROOT / "deploy/kubernetes/perdure.yaml"
RELEASE = "perdure"


def digest() -> str:
    """Return the SHA-256 of the chart's files."""
    sha = hashlib.sha256()
    for file in sorted(path for path in CHART.rglob("*") if path.is_file()):
        sha.update(f"{file.relative_to(CHART)}\n".encode() + file.read_bytes())
    return sha.hexdigest()


def rendered(*options: str) -> str:
    """Return what `helm template` makes of the chart, in an order of its own: by kind and name."""
    command = ["helm", "template", RELEASE, str(CHART), *options]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    found: list[dict[str, Any]] = [each for each in yaml.safe_load_all(text) if each]
    found.sort(key=lambda each: (each["kind"], each["metadata"]["name"]))
    return f"# deploy/helm/perdure {digest()}, by deploy/render_chart.py\n" + yaml.safe_dump_all(found, sort_keys=True)


def main() -> int:
    """Write the file."""
    MANIFEST.write_text(rendered())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The tour names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
#: Where a path of the page may begin.
BEGINNINGS = ("", "platform/perdure/", "workers/perdure_workers/", "docs/")


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = {path.removeprefix("../") for path in re.findall(r"[`(](\w[\w./]+/[\w.]*)[`)]", text)}
    named = {path for path in named if not path.startswith("dist/")}  # what `make release` makes
    assert len(named) > 20
    gone = [path for path in sorted(named) if not any((ROOT / start / path).exists() for start in BEGINNINGS)]
    assert gone == []

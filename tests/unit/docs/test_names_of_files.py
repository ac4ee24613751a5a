"""Files and folders that CONTRIBUTING.md and the pages for people who work on perdure name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: In backticks, with a folder; without what stands for a name or is made when it runs.
NAMED = re.compile(r"`((?:platform|workers|tasks|tests|benchmarks|docs|\.ci)/[^`\s*]*)`")
LINKED = re.compile(r"\]\((?!https?://|#)([^)#]+)")
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    made_by_a_command = {"docs/performance-figures.md", "docs/performance-figures.json"}
    named = {name for name in NAMED.findall(text) if name not in made_by_a_command}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    assert [link for link in LINKED.findall(text) if not (page.parent / link).exists()] == []

"""The examples in docs/resilience.md run, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "resilience.md"


def test_the_examples_run(redis_url: str) -> None:
    text = PAGE.read_text("utf-8")
    names: dict[str, object] = {"REDIS_URL": redis_url, "__name__": "examples"}
    blocks = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
    assert len(blocks) >= 9
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), names)

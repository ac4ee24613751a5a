"""What keeps the documentation's code running finds a page that promises what does not happen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECK = Path(__file__).parents[3] / "docs" / "check.py"


def checked(page: Path, text: str) -> tuple[int, str]:
    page.write_text(text)
    done = subprocess.run([sys.executable, CHECK, page], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def block(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


GOOD = [
    "<!--\n" + block("python", "# things.py", "THING = 7") + "-->\n",
    block("python", "from things import THING"),
    block("console", "$ export HELLO=hello", "$ echo $HELLO $(ls \\", "  *.py)  # all", "...", "hello things.py"),
    block("python", "assert THING == 7"),
    block("toml", "default_bulkhead = 'critical'"),
    block("text", "make something"),
]


@pytest.mark.slow
def test_blocks_of_a_page_see_what_those_above_left(tmp_path: Path) -> None:
    code, out = checked(tmp_path / "page.md", "# Page\n\n" + "\n".join(GOOD))
    assert code == 0, out
    assert "ok page.md: 6 blocks" in out


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (block("python", "1 / 0"), "ZeroDivisionError"),
        (block("python", "# broken.py", "import nothing_of_that_name"), "nothing_of_that_name"),
        (block("console", "$ false"), "exit code 1"),
        (block("console", "$ echo one", "two"), "the page shows: two"),
        (block("console", "$ exit 0"), "ended the shell"),
        (block("toml", "bulkhead_of_my_dreams = 1"), "bulkhead_of_my_dreams"),
        (block("bash", "true"), "not 'bash'"),
        (block("", "true"), "not ''"),
        (block("python no-run", "1 / 0"), "not 'python no-run'"),
    ],
)
def test_a_block_that_does_not_hold_is_told_with_its_line(tmp_path: Path, bad: str, why: str) -> None:
    page = tmp_path / "page.md"
    code, out = checked(page, "# Page\n\n" + block("python", "fine = 1") + "\n" + bad)
    assert code == 1
    assert f"{page}:7" in out
    assert why in out

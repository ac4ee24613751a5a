"""Run the examples of README.md and docs/: a fenced block that says ``run`` is a promise, and this keeps it.

    ```python run          executed in a fresh interpreter, in an empty folder
    ```console run         each line that begins with ``$ `` is executed by bash, in one empty folder for the block;
                           the lines below it must appear in its output, in order (``...`` skips any number of lines)

Usage: python docs/check.py [FILE ...]. Ends with 1 if an example failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE_TIMEOUT_SECONDS = 120
FENCE = re.compile(r"^```(?P<language>python|console) run[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One runnable block and where it stands."""

    path: Path
    line: int
    language: str
    body: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class ExampleFailed(Exception):
    """An example does not do what its page says."""


def main(arguments: list[str]) -> int:
    """Run all examples of the named files (default: README.md and docs/) and return the exit code."""
    pages = [Path(name) for name in arguments] or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    failed = total = 0
    for example in (example for page in pages for example in examples(page)):
        total += 1
        try:
            run(example)
        except ExampleFailed as failure:
            failed += 1
            print(f"FAILED {example}\n{failure}", file=sys.stderr)
        else:
            print(f"ok     {example}")
    print(f"{total - failed} passed, {failed} failed")
    return 1 if failed else 0


def examples(page: Path) -> Iterator[Example]:
    """Yield the runnable blocks of one page."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        yield Example(page, text.count("\n", 0, match.start()) + 1, match["language"], match["body"])


def run(example: Example) -> None:
    """Run one example in an empty folder; raise ExampleFailed when it ends with an error or says something else."""
    with tempfile.TemporaryDirectory(prefix="perdure-docs-") as folder:
        if example.language == "python":
            execute([sys.executable, "-c", example.body], folder)
            return
        for command, expected in commands(example.body):
            compare(execute(["bash", "-euo", "pipefail", "-c", command], folder), expected, command)


def commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each ``$ `` command of a console block with the output lines that the page shows below it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        yield command, [line.strip() for line in expected if line.strip()]


def execute(command: list[str], folder: str) -> str:
    """Run a command with this environment's programs first on PATH and return what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    try:
        done = subprocess.run(  # noqa: S603 - the project's own documentation
            command,
            cwd=folder,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=EXAMPLE_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ExampleFailed(f"not done within {EXAMPLE_TIMEOUT_SECONDS} s") from error
    if done.returncode:
        raise ExampleFailed(f"exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def compare(output: str, expected: list[str], command: str) -> None:
    """Check that the expected lines appear in the output in this order."""
    lines = iter([line.strip() for line in output.splitlines()])
    for wanted in expected:
        if wanted != "..." and wanted not in lines:
            raise ExampleFailed(f"$ {command}\nthe page shows: {wanted}\nthe output is:\n{output}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Run every code block of README.md, CONTRIBUTING.md and docs/: what a page shows, works.

A page is one session in an empty folder. Its blocks run from top to bottom and see what the ones above have left:

    ```python     executed; all of a page share their names. When it begins with ``# NAME.py`` it is that file, and imported
    ```console    each line that begins with ``$ `` is typed into one bash; the lines below it must appear in its output, in
                  order (``...`` skips any number of lines)
    ```toml       a ``perdure.toml`` that must be accepted
    ```text       no code: a drawing, or the usage that another test compares

A block within ``<!-- ... -->`` runs too and is not shown: what a reader has and an empty folder has not, such as a running
platform. A block in any other language fails, so that none is left out by mistake.

Usage: python docs/check.py [FILE ...]. Ends with 1 if a block failed.
"""

from __future__ import annotations

import importlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from perdure.system.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
#: Seconds that one block may take.
BLOCK_TIMEOUT = 180
#: Pages that run at the same time.
AT_ONCE = 2
FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (?P<name>\w+)\.py\n")


class BlockFailed(Exception):
    """A block does not do what its page says."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the line of its fence, its text."""

    language: str
    line: int
    body: str


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for match in FENCE.finditer(text):
        yield Block(match["language"].strip(), text.count("\n", 0, match.start()) + 1, match["body"])


def commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each ``$ `` command of a console block with the output lines that the page shows below it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", part)
        assert command is not None
        yield command[0], [line.strip() for line in part[command.end() :].splitlines() if line.strip()]


class Session:
    """A page's interpreter and shell, in the current folder.

    Args:
        page: The file whose blocks run.
    """

    def __init__(self, page: Path) -> None:
        self._page = page
        self._module = sys.modules["page"] = types.ModuleType("page")
        self._shell = subprocess.Popen(
            ["bash", "--norc", "-o", "pipefail"],  # noqa: S607 - the reader's bash
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, block: Block) -> None:
        """Run one block.

        Raises:
            BlockFailed: It ends with an error, takes too long, or says something else.
        """
        runners = {"python": self._python, "console": self._console, "toml": self._toml, "text": lambda _block: None}
        if block.language not in runners:
            raise BlockFailed(f"a block is one of {', '.join(runners)}, not {block.language!r}")
        signal.alarm(BLOCK_TIMEOUT)
        try:
            runners[block.language](block)
        finally:
            signal.alarm(0)

    def _python(self, block: Block) -> None:
        if named := FILE.match(block.body):
            Path(f"{named['name']}.py").write_text(block.body)
            sys.modules.pop(named["name"], None)  # a page may go on with another version of its file
            importlib.import_module(named["name"])
            return
        code = compile("\n" * block.line + block.body, str(self._page), "exec", dont_inherit=True)
        exec(code, vars(self._module))  # noqa: S102 - the project's own documentation

    def _toml(self, block: Block) -> None:
        from perdure import Perdure

        Perdure(**tomllib.loads(block.body)).close()

    def _console(self, block: Block) -> None:
        for command, expected in commands(block.body):
            code, output = self._type(command)
            if code:
                raise BlockFailed(f"$ {command}exit code {code}:\n{output}")
            compare(output, expected, command)

    def _type(self, command: str) -> tuple[int, str]:
        """Have the shell run a command and return its exit code and what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        mark = secrets.token_hex(8)
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null; printf '\\n%s %s\\n' {mark} $?\n")
        self._shell.stdin.flush()
        output: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(mark):
                return int(line.split()[1]), "".join(output)
            output.append(line)
        raise BlockFailed(f"$ {command}ended the shell:\n{''.join(output)}")


def compare(output: str, expected: list[str], command: str) -> None:
    """Check that the expected lines appear in the output in this order.

    Raises:
        BlockFailed: One does not.
    """
    lines = iter([line.strip() for line in output.splitlines()])
    for wanted in expected:
        if wanted != "..." and wanted not in lines:
            raise BlockFailed(f"$ {command}the page shows: {wanted}\nthe output is:\n{output}")


def run_page(page: Path) -> None:
    """Run all blocks of a page in this process and in the current folder; its last line says where one failed."""
    sys.path.insert(0, os.getcwd())
    signal.signal(signal.SIGALRM, _too_late)
    session = Session(page)
    for block in blocks(page.read_text()):
        try:
            session.run(block)
        except BaseException:
            print(f"FAILED {page}:{block.line}", file=sys.stderr, flush=True)
            raise


def _too_late(*_signal: object) -> None:
    raise BlockFailed(f"not done within {BLOCK_TIMEOUT} s")


def check(page: Path) -> bool:
    """Run a page in a process and an empty folder of its own; print how it went and return whether all blocks work."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="perdure-docs-", ignore_cleanup_errors=True) as folder:
        done = _execute([sys.executable, __file__, "--page", str(page)], folder)
        if Path(folder, ".perdure").exists():
            _execute([str(PROGRAMS / "perdure"), "down"], folder)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        return False
    print(f"ok {page.name}: {len([*blocks(page.read_text())])} blocks, {time.monotonic() - began:.1f} s")
    return True


def _execute(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this file, and perdure
        command,
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _environment() -> dict[str, str]:
    """Return the environment without settings of the machine's, with this environment's programs first on PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "CELERY_"))}
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", os.defpath)])
    return kept | {"PATH": path, "PERDURE_FLOWER_PORT": str(free_port()), "PYTHONDONTWRITEBYTECODE": "1"}


def main(arguments: list[str]) -> int:
    """Check the named pages (default: all) and return the exit code."""
    if arguments[:1] == ["--page"]:
        run_page(Path(arguments[1]))
        return 0
    named = [Path(name).resolve() for name in arguments]
    pages = named or [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    pages = [page for page in pages if any(block.language != "text" for block in blocks(page.read_text()))]
    pages.sort(key=lambda page: page.read_text().count("\n$ "), reverse=True)  # those that take longest first
    with ThreadPoolExecutor(AT_ONCE) as pool:
        went_well = [*pool.map(check, pages)]
    print(f"{sum(went_well)} pages work, {went_well.count(False)} do not")
    return 0 if all(went_well) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

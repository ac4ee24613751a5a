"""Record the demo in a terminal as an animated picture: ``python docs/recording.py`` writes pictures/demo.svg.

It really runs, on a copy of this repository's files. Waits are cut to half a second; what is shown is what it printed.
"""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "demo.svg"

COLUMNS, LINES = 100, 38
#: Pixels of a character and of a line, and around them.
WIDTH, HEIGHT, MARGIN = 8.0, 18, 12
#: Seconds between two pictures at least and at most, and for which the last one stays.
SHORTEST, LONGEST, LAST = 0.2, 0.5, 8.0
GROUND, INK = "#1c2128", "#d0d7de"
COLOURS = {
    "black": "#484f58", "red": "#ff7b72", "green": "#3fb950", "brown": "#d29922", "blue": "#58a6ff", "magenta": "#bc8cff",
    "cyan": "#39c5cf", "white": "#b1bac4", "brightmagenta": "#d2a8ff", "brightred": "#ffa198", "brightgreen": "#56d364",
    "brightcyan": "#56d4dd", "brightblue": "#79c0ff", "brightbrown": "#e3b341",
}  # fmt: skip

#: One line of the screen: texts and how they are written.
Line = tuple[tuple[str, str, bool], ...]
Frame = tuple[float, tuple[Line, ...]]


def output(command: Sequence[str], cwd: Path) -> Iterator[tuple[float, bytes]]:
    """Run a command in a terminal and yield what it prints, with the seconds since its start."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - whoever runs this names the command
        command, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env={**environment, "TERM": "xterm-256color"}
    )
    os.close(slave)
    try:
        while printed := os.read(master, 65536):
            yield time.monotonic() - began, printed
    except OSError:  # the terminal's end
        pass
    if process.wait():
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")


def frames(printed: Iterable[tuple[float, bytes]]) -> list[Frame]:
    """Return the screens that were seen, each with the seconds for which it is shown."""
    screen, blank = pyte.Screen(COLUMNS, LINES), pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    seen: list[Frame] = []
    since = 0.0
    for at, data in printed:
        if at - since >= SHORTEST and (now := _lines(screen)) != (seen[-1][1] if seen else _lines(blank)):
            seen.append((min(at - since, LONGEST), now))
            since = at
        stream.feed(data)
    return [*seen, (LAST, _lines(screen))]


def _lines(screen: pyte.Screen) -> tuple[Line, ...]:
    return tuple(tuple(_runs(screen, row)) for row in range(LINES))


def _runs(screen: pyte.Screen, row: int) -> Iterator[tuple[str, str, bool]]:
    cells = [screen.buffer[row][column] for column in range(COLUMNS)]
    for (colour, bold), group in groupby(cells, lambda cell: (cell.fg, cell.bold)):
        yield "".join(cell.data for cell in group), colour, bold


def drawn(shown: Sequence[Frame], title: str) -> str:
    """Return the animated picture: all screens side by side, moved through a window by CSS, each line kept once."""
    width, height = COLUMNS * WIDTH + 2 * MARGIN, LINES * HEIGHT + 2 * MARGIN
    known: dict[Line, int] = {}
    strips, steps, at = [], [], 0.0
    total = sum(seconds for seconds, _ in shown)
    for number, (seconds, lines) in enumerate(shown):
        steps.append(f"{at / total:.3%}{{transform:translateX({-number * width:g}px)}}")
        at += seconds
        for row, line in enumerate(lines):
            if any(text.strip() for text, _, _ in line):
                place = f'x="{number * width + MARGIN:g}" y="{row * HEIGHT + MARGIN}"'
                strips.append(f'<use href="#l{known.setdefault(line, len(known))}" {place}/>')
    last = f"transform:translateX({-(len(shown) - 1) * width:g}px)"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height}">',
            f"<title>{escape(title)}</title>",
            f"<style>@keyframes shown{{{''.join(steps)}}}",
            f"#screens{{animation:shown {total:.1f}s step-end infinite}}",
            f"@media (prefers-reduced-motion:reduce){{#screens{{animation:none;{last}}}}}",
            "text{font:13px ui-monospace,Menlo,Consolas,monospace;white-space:pre}.b{font-weight:bold}</style>",
            f'<rect width="{width:g}" height="{height}" rx="8" fill="{GROUND}"/>',
            "<defs>",
            *(f'<g id="l{number}">{_written(line)}</g>' for line, number in known.items()),
            "</defs>",
            '<g id="screens">',
            *strips,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _written(line: Line) -> str:
    column, texts = 0, []
    for text, colour, bold in line:
        if text.strip():
            weight = ' class="b"' if bold else ""
            fill = INK if colour == "default" else COLOURS.get(colour, f"#{colour}")
            place = f'x="{column * WIDTH:g}" y="13" textLength="{len(text) * WIDTH:g}"'
            texts.append(f'<text {place} fill="{fill}"{weight}>{escape(text)}</text>')
        column += len(text)
    return "".join(texts)


def main() -> None:
    """Run the demo and write its picture."""
    with tempfile.TemporaryDirectory(prefix="perdure-") as folder:
        tree = Path(folder, "sources")
        for name in ("platform", "workers", "docs", "tests"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        command = [str(Path(sys.executable).parent / "perdure"), "demo", "--tree", str(tree)]
        shown = frames(output(command, tree))
    PICTURE.write_text(drawn(shown, "perdure demo: real jobs, a worker is killed, every promise is checked"))
    print(PICTURE)


if __name__ == "__main__":
    main()

"""Draw the comparison's rates from the table in performance.md: ``python docs/plot.py`` writes pictures/rates.svg."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
PICTURE = HERE / "pictures" / "rates.svg"
#: Columns of the table and how they are drawn.
SERIES = {"drain/s": "#4a6fa5", "bulk/s": "#9db4d3", "submit/s": "#c9a66b"}
ROW, BAR, LEFT, WIDTH, TOP, RIGHT = 74, 18, 200, 520, 40, 80


def rates() -> dict[str, dict[str, int]]:
    """Return jobs a second by system and column, as the table says."""
    lines = iter((HERE / "performance.md").read_text().splitlines())
    head = next(_cells(line) for line in lines if line.startswith("| | submit/s |"))
    next(lines)  # the line below the head
    rows = [_cells(line) for line in _until_blank(lines)]
    return {row[0]: {name: int(row[head.index(name)].replace(",", "")) for name in SERIES} for row in rows}


def drawn() -> str:
    """Return the plot as SVG: a group of bars for each system, all on one scale."""
    found = rates()
    longest = max(max(row.values()) for row in found.values())
    width, height = LEFT + WIDTH + RIGHT, TOP + ROW * len(found)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        "<title>Jobs a second: perdure and its peers</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (name, colour) in enumerate(SERIES.items()):
        x = LEFT + number * 130
        lines.append(f'<rect x="{x}" y="12" width="14" height="14" fill="{colour}"/>')
        lines.append(f'<text x="{x + 20}" y="24" fill="#333333">{escape(name)}</text>')
    for number, (system, row) in enumerate(found.items()):
        lines.append(f'<text x="{LEFT - 10}" y="{TOP + ROW * number + 32}" text-anchor="end">{escape(system)}</text>')
        lines += _bars(TOP + ROW * number, row, WIDTH / longest)
    return "\n".join([*lines, "</svg>", ""])


def _bars(y: int, row: dict[str, int], scale: float) -> Iterator[str]:
    for number, (name, colour) in enumerate(SERIES.items()):
        top, length = y + number * (BAR + 2), max(1, round(row[name] * scale))
        yield f'<rect x="{LEFT}" y="{top}" width="{length}" height="{BAR}" fill="{colour}"/>'
        yield f'<text x="{LEFT + length + 6}" y="{top + 14}" fill="#333333">{row[name]:,}</text>'


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _until_blank(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield line


if __name__ == "__main__":
    PICTURE.write_text(drawn())

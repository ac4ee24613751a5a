"""Draw perdure's layers and who uses whom, from the imports: python docs/layers.py writes pictures/layers.svg."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "layers.svg"

ROW, TOP, LEFT, WIDTH, CELL = 40, 6, 14, 690, 28


def layers() -> list[str]:
    """Return the layers' names, the highest first, as the import contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found: list[str] = next(each["layers"] for each in contracts if each["type"] == "layers")
    return found


def meaning(layer: str) -> str:
    """Return the first sentence of what a layer's package says of itself."""
    folder = ROOT / "platform" / "perdure" / layer
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return text.split("\n")[0].split(". ")[0].rstrip(".")


def uses(names: list[str]) -> dict[str, list[str]]:
    """Return which layers each layer imports from, type checking included."""
    graph = grimp.build_graph("perdure", cache_dir=None)
    return {name: [other for other in names if other != name and _imports(graph, name, other)] for name in names}


def _imports(graph: grimp.ImportGraph, name: str, other: str) -> bool:
    return bool(
        graph.find_matching_direct_imports(import_expression=f"perdure.{name}.** -> perdure.{other}.**")
        or graph.find_matching_direct_imports(import_expression=f"perdure.{name} -> perdure.{other}.**")
        or graph.find_matching_direct_imports(import_expression=f"perdure.{name}.** -> perdure.{other}")
        or graph.find_matching_direct_imports(import_expression=f"perdure.{name} -> perdure.{other}")
    )


def drawn() -> str:
    """Return the picture as SVG: a row for each layer, and a dot under each layer that it uses."""
    names = layers()
    used = uses(names)
    height, width = TOP * 2 + ROW * (len(names) + 1), LEFT * 2 + WIDTH + CELL * len(names)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        "<title>Layers of perdure, and which others each one uses</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, name in enumerate(names):
        lines.append(_text(_column(number), TOP + 26, str(number + 1), "middle"))
        lines += _row(names, number, used[name])
    return "\n".join([*lines, "</svg>", ""])


def _row(names: list[str], number: int, used: list[str]) -> Iterator[str]:
    y = TOP + ROW * (number + 1)
    yield f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{ROW - 8}" rx="5" fill="#eef3fb" stroke="#4a6fa5"/>'
    yield _text(LEFT + 30, y + 20, str(number + 1), "end")
    yield f'<text x="{LEFT + 42}" y="{y + 20}" font-size="15" font-weight="bold" fill="#1d3557">{names[number]}</text>'
    yield f'<text x="{LEFT + 150}" y="{y + 20}" font-size="12" fill="#333333">{escape(meaning(names[number]))}</text>'
    for column, other in enumerate(names):
        x, middle = _column(column), y + (ROW - 8) // 2
        if column == number:
            yield f'<rect x="{x - 7}" y="{middle - 7}" width="14" height="14" fill="#d5dbe5"/>'
        elif other in used:
            yield f'<circle cx="{x}" cy="{middle}" r="6" fill="#4a6fa5"/>'


def _column(number: int) -> int:
    return LEFT + WIDTH + CELL * number + CELL // 2


def _text(x: int, y: int, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="12" text-anchor="{anchor}" fill="#666666">{text}</text>'


if __name__ == "__main__":
    PICTURE.write_text(drawn())

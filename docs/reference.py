"""Write docs/settings.md, docs/cli.md and the table of docs/metrics.md from the code: ``python docs/reference.py``."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import click
import msgspec

from perdure.model.metrics import METRICS
from perdure.settings.settings import BulkheadSettings, Settings
from perdure_workers.cli.main import perdure

HERE = Path(__file__).parent
#: Settings with a description of their own.
_TABLES = ("bulkheads", "resilience", "drills")
#: What is between them is written anew.
_BEGIN, _END = "<!-- written by docs/reference.py -->", "<!-- end -->"
_OPTIONAL = re.compile(r"Optional\[([^\[\]]+)\]")


def settings_page() -> str:
    """Return the page of settings."""
    lines = [
        "# Settings",
        "",
        "Arguments of `Perdure()` win over `PERDURE_*` variables, these over `perdure.toml` in the current folder or",
        "above, and that over the defaults. Nested ones have two underscores: `PERDURE_BULKHEADS__CRITICAL__LIMIT=4`;",
        "names in variables are small letters, and mean the table of the file that is named so but for case and dashes.",
        "A variable may hold a table or a list as JSON; one that ends with `_FILE` names a file that holds the value.",
        "Times are seconds.",
        "",
        "All are converted and checked at start, from every source: what is wrong is a `SettingsError` that names the",
        "setting, where it came from and what is allowed. [running.md](running.md) says what the URLs may be.",
        "",
        *_table(Settings),
        "",
        "## Each bulkhead: `[bulkheads.NAME]`",
        "",
        *_table(BulkheadSettings),
    ]
    lines += [
        "",
        "`[resilience.breakers.NAME]` and `[resilience.services.NAME]` are described in [resilience.md](resilience.md),",
        "`[drills.NAME]` in [drills.md](drills.md).",
    ]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Return the page of commands."""
    lines = [
        "# Command line",
        "",
        "`-A module:attribute` (or `PERDURE_APP`) names the application, `--home` (or `PERDURE_HOME`) the home folder;",
        "both may stand before or after the command. Exit codes: 0 done, 1 an error, 2 a wrong command line; of",
        "`--wait` and `jobs wait`: 3 dead, 4 cancelled, 5 timed out, 6 a bulk replay that halted.",
        "",
    ]
    width: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}
    root = click.Context(perdure, info_name="perdure", **width, **perdure.context_settings)
    for context in _contexts(root):
        path, command = context.command_path, context.command
        lines += [f"## `{path}`", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


def metrics_page() -> str:
    """Return the page of metrics, with the table of those that there are."""
    rows = [
        f"| `{one.name}` | {one.kind} | {' '.join(f'`{name}`' for name in one.labels)} | {one.help} |" for one in METRICS
    ]
    table = "\n".join(["| metric | kind | labels | |", "|---|---|---|---|", *rows])
    before, _, rest = (HERE / "metrics.md").read_text().partition(_BEGIN)
    return f"{before}{_BEGIN}\n{table}\n{_END}{rest.partition(_END)[2]}"


def _table(model: type[msgspec.Struct]) -> list[str]:
    types, meanings, defaults = get_type_hints(model), meanings_of(model), msgspec.structs.asdict(model())
    rows = [_row(name, types[name], default, meanings[name]) for name, default in defaults.items() if name not in _TABLES]
    return ["| setting | type | default | |", "|---|---|---|---|", *rows]


def meanings_of(model: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the docstring of settings says of each."""
    said: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(model.__doc__ or "").partition("Args:")[2].splitlines():
        if (found := re.fullmatch(r"    (\w+): (.*)", line)) is not None:
            name, said[found[1]] = found[1], found[2]
        elif name and line.startswith("        "):
            said[name] += f" {line.strip()}"
    return {name: text.replace("``", "`").removesuffix(".").replace("|", "\\|") for name, text in said.items()}


def _row(name: str, hint: object, default: object, meaning: str) -> str:
    annotation = str(hint).replace("typing.", "").removeprefix("<class '").removesuffix("'>")
    annotation = annotation.replace("pathlib._local.", "pathlib.")  # where Python 3.13 keeps it
    annotation = _OPTIONAL.sub(r"\1 | None", annotation)
    shown = "" if default is None else f"{default!s}"
    return f"| `{name}` | {annotation.replace('|', 'or')} | {shown} | {meaning} |"


def _contexts(parent: click.Context) -> list[click.Context]:
    """Return the contexts of all commands below a group; each inherits its parent's settings, as when it is called."""
    found: list[click.Context] = []
    assert isinstance(parent.command, click.Group)
    for name in sorted(parent.command.list_commands(parent)):
        command = parent.command.get_command(parent, name)
        assert command is not None
        context = click.Context(command, parent, info_name=name, **command.context_settings)
        found += _contexts(context) if isinstance(command, click.Group) else [context]
    return found


if __name__ == "__main__":
    (HERE / "settings.md").write_text(settings_page())
    (HERE / "cli.md").write_text(cli_page())
    (HERE / "metrics.md").write_text(metrics_page())

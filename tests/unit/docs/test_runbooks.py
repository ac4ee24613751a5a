"""Each alert has a runbook, and each command that a page names is one of the command line's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from perdure.model.alerts.builtin import BUILTIN
from perdure_workers.cli.main import perdure

DOCS = Path(__file__).resolve().parents[3] / "docs"
COMMAND = re.compile(r"`(perdure [a-z][^`]*)`")


def test_each_alert_has_its_runbook_in_the_order_of_the_rules() -> None:
    sections = re.findall(r"^## (.+)$", (DOCS / "runbooks.md").read_text(), re.MULTILINE)
    assert sections == [*(rule.name for rule in BUILTIN), "ledger_unavailable"]


@pytest.mark.parametrize("page", ["runbooks.md"])
def test_each_command_of_a_page_is_there_with_its_options(page: str) -> None:
    named = {" ".join(text.split()) for text in COMMAND.findall((DOCS / page).read_text())}
    assert len(named) > 20
    assert [text for text in sorted(named) if not is_known(shlex.split(text)[1:])] == []


def is_known(words: list[str]) -> bool:
    command: click.Command = perdure
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words.pop(0))
        if found is None:
            return False
        command = found
    options = {option for parameter in command.params for option in parameter.opts}
    return not isinstance(command, click.Group) and {word for word in words if word.startswith("--")} <= options

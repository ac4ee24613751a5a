"""Commands that people type all day load what they need and nothing else, so that they answer at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"pydantic", "sqlalchemy", "celery", "kombu", "redis", "tornado", "flower", "httpx", "alembic", "rich"}
SCRIPT = """
import sys
sys.argv = ["perdure", *sys.argv[1:]]
from perdure_workers.cli import main
try:
    main()
except SystemExit:
    pass
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.mark.parametrize("command", [["--version"], ["status"], ["status", "--json"], ["down"], ["submt"]])
def test_a_light_command(command: list[str], tmp_path: Path) -> None:
    (tmp_path / ".perdure").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    run = [sys.executable, "-c", SCRIPT, *command]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert set(done.stderr.splitlines()[-1].split()) & HEAVY == set()


def test_every_command_is_where_it_is_said_to_be() -> None:
    import click

    from perdure_workers.cli.main import perdure

    context = click.Context(perdure)
    for name in perdure.list_commands(context):
        command = perdure.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert perdure.get_command(context, "nothing") is None


def test_the_library_loads_its_names_when_they_are_asked_for() -> None:
    import perdure

    assert set(perdure.__all__) == set(perdure._WHERE)
    assert all(getattr(perdure, name).__name__ == name for name in perdure.__all__)
    assert set(perdure.__all__) <= set(dir(perdure))
    with pytest.raises(AttributeError, match="has no attribute 'Perdur'"):
        _ = perdure.Perdur

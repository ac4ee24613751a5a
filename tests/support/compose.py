"""Read docker-compose.yml as Compose does, and run its perdure commands on this machine against other servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
#: Where containers have their secrets.
MOUNTED = "/run/secrets/"
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


class MissingVariable(Exception):
    """A required variable (``${NAME:?}``) is not set."""


@dataclass(frozen=True)
class ServiceCommand:
    """What one service of the image runs."""

    service: str
    argv: list[str]
    environment: dict[str, str]


def load(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the compose file with its variables filled in from ``environment``."""
    loaded = _fill_in(yaml.safe_load(COMPOSE_FILE.read_text()), environment)
    assert isinstance(loaded, dict)
    return loaded


def with_secrets(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return a service's environment whose secrets are in this folder."""
    return {name: value.replace(MOUNTED, f"{folder}/") for name, value in environment.items()}


def perdure_commands(environment: Mapping[str, str]) -> list[ServiceCommand]:
    """Return the command of each service that runs the platform's own image, in the file's order."""
    services = load(environment)["services"]
    return [
        ServiceCommand(name, list(service["command"]), dict(service.get("environment", {})))
        for name, service in services.items()
        if service["image"] == "perdure:local"
    ]


def start_locally(
    command: ServiceCommand,
    *,
    cwd: Path,
    secrets: Path,
    overrides: Mapping[str, str],
    log: Path,
    replace: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a service's command here, with this interpreter's ``perdure``. The caller ends it by its pid.

    Args:
        command: one of `perdure_commands`.
        cwd: folder with the application.
        secrets: folder with what the service reads from ``/run/secrets``.
        overrides: variables in place of the service's (PERDURE_HOME).
        log: file for its output.
        replace: arguments to exchange, such as the port of Flower.
    """
    program, *arguments = [(replace or {}).get(argument, argument) for argument in command.argv]
    with log.open("wb") as output:
        return subprocess.Popen(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=cwd,
            env={**os.environ, **with_secrets(command.environment, secrets), "PYTHONPATH": str(cwd), **overrides},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _fill_in(node: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill_in(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill_in(value, environment) for value in node]
    return VARIABLE.sub(lambda match: _value(match, environment), node) if isinstance(node, str) else node


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    value = environment.get(match["name"], "")
    if value or match["kind"] is None:
        return value
    if match["kind"] == "?":
        raise MissingVariable(match["name"])
    return match["rest"]

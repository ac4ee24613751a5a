"""Errors are called by their short names, whatever other errors a process has."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import perdure
from perdure.model.text.error_names import short_name, stored_name


def test_perdure_s_own_go_without_their_module() -> None:
    stored = stored_name("LeaseLost")
    assert stored.startswith("perdure.")
    assert short_name(stored) == "LeaseLost"
    assert [stored_name(said) for said in ("ValueError", "shop.Declined", "Nobody")] == [
        "ValueError",
        "shop.Declined",
        "Nobody",
    ]


def test_an_application_s_class_that_answers_nothing_is_in_nobody_s_way() -> None:
    class Silent(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

    odd = Silent("Odd", (Exception,), {})
    assert stored_name("LeaseLost").startswith("perdure.")
    assert stored_name("Odd") == "Odd"
    assert isinstance(odd, type)


def names_of_own_errors() -> list[str]:
    """Return the short names of perdure's errors, but for those of which no job dies."""
    modules = [
        import_module(found.name) for found in walk_packages(perdure.__path__, "perdure.") if "migrations" not in found.name
    ]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    own = {kind for kind in kinds if issubclass(kind, Exception) and kind.__module__.startswith("perdure.")}
    elsewhere = (
        "perdure.ledger.",
        "perdure.manage.platform_checks",
        "perdure.model.cron",
        "perdure.model.setting_problems",
    )
    return sorted(kind.__name__ for kind in own if not kind.__module__.startswith(elsewhere))


def test_dead_letters_are_found_by_a_short_name_though_nobody_has_loaded_the_error() -> None:
    names = names_of_own_errors()
    assert {"CircuitOpen", "LeaseLost", "NoQuorum", "OperationTimeout"} <= set(names)
    code = f"""
from perdure.manage.dead_letters.filters import letter_filter
print(*(name for name in {names} if "." not in letter_filter(error=name).error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

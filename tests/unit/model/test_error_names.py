"""Errors are called by their short names, whatever other errors a process has."""

from __future__ import annotations

from typing import Any

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

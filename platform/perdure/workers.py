"""``app.workers``: the worker processes that the ledger knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.ledger.records import WorkerRecord

if TYPE_CHECKING:
    from perdure.app import Perdure


class Workers:
    """The workers of an application."""

    def __init__(self, app: Perdure) -> None:
        self._app = app

    def list(self, *, all_states: bool = False) -> list[WorkerRecord]:
        """Return the live workers by name; with ``all_states`` those that failed or left as well."""
        return self._app.ledger.list_workers(all_states=all_states)

"""The server, as its handlers know it."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.facts.history import History


class Site(Protocol):
    """What serves perdure's pages; see :class:`perdure_workers.flower.server.PerdureFlower`.

    Attributes:
        perdure: The application that is shown.
        options: Flower's options.
        facts_pool: Reads the ledger and Redis, off the event loop.
        history: What the plots show.
    """

    perdure: Perdure
    options: Any
    facts_pool: Executor
    history: History

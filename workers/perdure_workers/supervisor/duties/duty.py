"""The shape of a duty."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import ClassVar

from perdure import Perdure


class Duty(ABC):
    """Something that has to be done again and again, by any supervisor.

    Attributes:
        name: What logs and metrics call it.
    """

    name: ClassVar[str]
    #: Seconds after the start of its supervisor, or of the worker that it is in, which has more urgent things to do then.
    begins_after: ClassVar[float] = 0.0
    #: When it was last done in this process, on the monotonic clock, or when there was nothing to do.
    done_at: float | None = None

    def __init__(self, app: Perdure) -> None:
        self.app = app
        #: Set to have it done before its period is over.
        self.wanted = threading.Event()

    def told(self, *, is_due: bool) -> None:
        """Take note of what the ledger says when it is asked whether there is something to do."""
        if is_due:
            self.wanted.set()
        else:
            self.done_at = time.monotonic()

    @property
    @abstractmethod
    def period(self) -> float:
        """Seconds from one run to the next."""

    @abstractmethod
    def run_once(self) -> int:
        """Do what is to be done now and return how much it was; more than 0 asks to be run again at once."""

"""The shape of a duty."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from perdure import Perdure


class Duty(ABC):
    """Something that has to be done again and again, by any supervisor.

    Attributes:
        name: What logs and metrics call it.
    """

    name: ClassVar[str]
    #: When it was last done in this process, on the monotonic clock; its supervisor says so.
    done_at: float | None = None

    def __init__(self, app: Perdure) -> None:
        self.app = app

    @property
    @abstractmethod
    def period(self) -> float:
        """Seconds from one run to the next."""

    @abstractmethod
    def run_once(self) -> int:
        """Do what is to be done now and return how much it was; more than 0 asks to be run again at once."""

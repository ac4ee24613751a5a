"""A rule: which measure, beyond which threshold and for how long, is an alert, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field


class Severity(StrEnum):
    """How bad an alert is: nobody is told of ``info``, ``critical`` wakes people."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Its place, the mildest first."""
        return list(Severity).index(self)


class Measured(Struct, frozen=True):
    """What a measure found of one thing.

    Attributes:
        labels: The thing, such as ``{"bulkhead": "normal"}``; with the rule's name they are an alert's identity.
        value: Its value, in the measure's unit.
        message: The matter in words.
    """

    labels: Mapping[str, str]
    value: float
    message: str


class Rule(Struct, frozen=True):
    """When a measure's value is an alert.

    Attributes:
        name: The alert's name.
        measure: The measure; several rules may look at one.
        severity: How bad it is.
        todo: What to do, a line for whoever is woken.
        above: The value above which it is an alert; None when ``below`` says it.
        below: The value below which it is one.
        clear: The value at which it is over again, on the good side of the threshold (hysteresis); the threshold itself
            by default.
        hold: Seconds that a value has to be bad before the alert fires.
        keep: Seconds that it has to be good again before the alert is resolved.
        match: Labels that a thing must have.
        enabled: Whether it is looked at.
    """

    name: str
    measure: str
    severity: Severity
    todo: str
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    hold: float = 0.0
    keep: float = 0.0
    match: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True

    def is_bad(self, value: float) -> bool:
        """Return whether a value, in units of the measure, is beyond the threshold."""
        return value > self.above if self.above is not None else value < (self.below or 0.0)

    def is_good(self, value: float) -> bool:
        """Return whether a value, in units of the measure, is so good that an alert which fires is over."""
        if self.clear is None:
            return not self.is_bad(value)
        return value <= self.clear if self.above is not None else value >= self.clear

    def concerns(self, labels: Mapping[str, str]) -> bool:
        """Return whether a thing with these labels is one that the rule looks at."""
        return self.match.items() <= labels.items()

    @property
    def condition(self) -> str:
        """The threshold in words."""
        bound = f"above {self.above:g}" if self.above is not None else f"below {self.below or 0.0:g}"
        return f"{self.measure} {bound}" + (f" for {self.hold:g} s" if self.hold else "")

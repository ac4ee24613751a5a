"""``[drills.NAME]``: what ``perdure drill`` has to reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from perdure.errors import did_you_mean
from perdure.model.clock import LONGEST_DELAY
from perdure.model.setting_types import Before

#: By drill. A restore loses what came after the backup, and a region what the other one had not been sent yet.
DEFAULT_TARGETS: dict[str, dict[str, float]] = {
    "broker-loss": {"rto": 30.0, "rpo": 0.0},
    "ledger-restore": {"rto": 60.0, "rpo": 10.0},
    "host-loss": {"rto": 30.0, "rpo": 0.0},
    "region-loss": {"rto": 60.0, "rpo": 10.0},
    "bad-deploy": {"rto": 60.0, "rpo": 0.0},
    "operator-error": {"rto": 60.0, "rpo": 0.0},
}


class DrillTargets(msgspec.Struct, kw_only=True):
    """The targets of one drill: a recovery takes and loses no more.

    Args:
        rto: Seconds from the accident until all is done again.
        rpo: Seconds of accepted work that may be lost.
    """

    rto: Annotated[float, Meta(gt=0, le=LONGEST_DELAY)]
    rpo: Annotated[float, Meta(ge=0, le=LONGEST_DELAY)]


def _with_defaults(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    targets: dict[str, Any] = {name: dict(default) for name, default in DEFAULT_TARGETS.items()}
    for given_name, given in value.items():
        name = str(given_name).replace("_", "-")  # as variables of the environment have it
        if name not in targets:
            raise ValueError(f"there is no drill {name!r}.{did_you_mean(name, targets)} Drills: {', '.join(targets)}")
        targets[name] = {**targets[name], **given} if isinstance(given, Mapping) else given
    return targets


Targets = Annotated[dict[str, DrillTargets], Before(_with_defaults)]


def default_targets() -> dict[str, DrillTargets]:
    """Return the targets of all drills, as they are unless settings change them."""
    return {name: DrillTargets(**values) for name, values in DEFAULT_TARGETS.items()}

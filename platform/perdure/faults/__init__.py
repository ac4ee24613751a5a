"""Injected faults: ``app.faults`` for all processes of an application, :func:`inject` for tests. See ``docs/faults.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from perdure.errors import FaultsNotAllowed, InjectedFault, InvalidFault
    from perdure.faults.faults import Faults
    from perdure.faults.injection import inject
    from perdure.faults.injector import FaultEvent
    from perdure.model.faults.fault import Fault, Kind
    from perdure.model.faults.places import Point

__all__ = [
    "Fault",
    "FaultEvent",
    "Faults",
    "FaultsNotAllowed",
    "InjectedFault",
    "InvalidFault",
    "Kind",
    "Point",
    "inject",
]

_WHERE = {
    "Fault": "perdure.model.faults.fault",
    "FaultEvent": "perdure.faults.injector",
    "Faults": "perdure.faults.faults",
    "FaultsNotAllowed": "perdure.errors",
    "InjectedFault": "perdure.errors",
    "InvalidFault": "perdure.errors",
    "Kind": "perdure.model.faults.fault",
    "Point": "perdure.model.faults.places",
    "inject": "perdure.faults.injection",
}


__getattr__, __dir__ = lazy_names(__name__, _WHERE)

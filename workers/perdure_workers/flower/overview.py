"""What the overview shows: dead letters first, then alerts, then the platform at a glance. Read in a thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.ledger import glance
from perdure_workers.facts.bulkhead_view import bulkhead_view
from perdure_workers.facts.happenings import happenings
from perdure_workers.facts.score_history import score_views
from perdure_workers.flower.alerts import open_alerts
from perdure_workers.flower.faults import FaultView, fault_views

if TYPE_CHECKING:
    from perdure import Perdure
    from perdure_workers.facts.history import History

#: Faults that are shown, and that are looked at to find them.
FAULTS, LOOKED_AT = 6, 30


def overview(app: Perdure, history: History) -> dict[str, Any]:
    """Return the platform at a glance.

    Args:
        app: The application.
        history: What ended in the last hour.
    """
    now = datetime.now(UTC)
    hour, workers, health = history.last_hour(), app.workers.list(), app.health()
    paused = app.ledger.direct(glance.paused_since)
    bulkheads = [bulkhead_view(one, paused.get(one.name), workers, hour) for one in app.bulkheads.list()]
    breakers = app.breakers.snapshots()
    minutes = math.ceil(app.settings.score_window / 60)
    scores = app.scores.of([each for minute in hour[-1 - minutes :] for each in minute or ()], breakers)
    return {
        "letters": app.ledger.direct(glance.letter_counts),
        "faults": _faults(app, now),
        "alerts": open_alerts(app),
        "bulkheads": bulkheads,
        "breakers": breakers,
        "scores": score_views(scores, hour, history.services(), minutes, app.settings.score_minimum_calls),
        "happenings": happenings(app, hour, breakers, now),
        "until": now.replace(second=0, microsecond=0) + timedelta(minutes=1),
        "workers": workers,
        "health": health,
    }


def _faults(app: Perdure, now: datetime) -> Sequence[FaultView]:
    groups = app.dead_letters.groups
    newest = groups(limit=LOOKED_AT, open_only=True, order="last_seen")
    most = groups(limit=LOOKED_AT, open_only=True, order="count")
    return fault_views([*newest, *most], now, FAULTS)

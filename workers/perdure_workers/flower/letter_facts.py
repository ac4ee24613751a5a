"""What the pages of dead letters show: faults and letters by the same filters, one letter, and what a bulk action means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perdure.errors import InvalidArguments
from perdure.ledger.dead_letters.group_match import COUNTED, matching_by_fault
from perdure.manage.dead_letters.filters import NAMES, letter_filter
from perdure.manage.dead_letters.replay_plan import ReplayPlan
from perdure.manage.masked import masked_detail, masked_letter
from perdure.model.dead_letter import OPEN, DeadLetterGroup
from perdure_workers.flower.faults import next_step
from perdure_workers.flower.letter_actions import bulk_replay

if TYPE_CHECKING:
    from perdure import Perdure

#: Rows of a page of letters, and faults above them.
PAGE, FAULTS = 50, 20


def letter_list(app: Perdure, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of letters, and the faults that the letters that match are of; filters as texts.

    Raises:
        InvalidArguments: A filter is unknown, or its value not allowed.
    """
    filters = {name: text for name, text in asked.items() if text and name != "after"}
    matching = _matching(app, filters)
    found = app.dead_letters.list(limit=PAGE + 1, after=asked.get("after") or None, **filters)
    page = [masked_letter(app.tasks.get(letter.task), letter) for letter in found[:PAGE]]
    return {
        "letters": page,
        "next": page[-1].id if len(found) > PAGE else None,
        "groups": _groups(app, matching),
        "matching": matching,
        "counted": COUNTED,
    }


def letter(app: Perdure, letter_id: str) -> dict[str, Any]:
    """Return everything about a dead letter, by its id or how only that begins or ends."""
    found = app.dead_letters.show(app.dead_letters.find(letter_id).id)
    replay = next((one for one in found.lineage if one.job_id == found.letter.replayed_as), None)
    return {
        "detail": masked_detail(app.tasks.get(found.letter.task), found),
        "bulkheads": list(app.bulkheads),
        "replay_state": replay.state if replay is not None else None,
        "todo": next_step(found.letter.reason),
    }


def bulk_question(app: Perdure, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return what a bulk action would do, for the page that asks before it is done.

    Args:
        app: The application.
        asked: The filters and ``action``, ``replay`` or ``discard``, with the settings of a replay; as texts.
    """
    filters = {"status": OPEN, **{name: text for name, text in asked.items() if name in NAMES}}
    if asked.get("action") == "discard":
        return {"filters": filters, "count": app.dead_letters.count(**filters), "plan": None, "asked": asked, "problem": ""}
    plan, problem = _plan(app, filters, asked)
    return {"filters": filters, "count": plan.count, "plan": plan, "asked": asked, "problem": problem}


def _plan(app: Perdure, filters: Mapping[str, Any], asked: Mapping[str, str]) -> tuple[ReplayPlan, str]:
    """Return what a bulk replay would do, and what is wrong with its settings: then what it would do without them."""
    try:
        return app.dead_letters.replay_many(dry_run=True, **filters, **bulk_replay(asked)), ""
    except InvalidArguments as error:
        return app.dead_letters.replay_many(dry_run=True, **filters), str(error)


def _matching(app: Perdure, filters: Mapping[str, Any]) -> dict[str, int]:
    which = letter_filter(**{"status": OPEN, **filters})
    return app.ledger.read(lambda c: matching_by_fault(c, which, FAULTS))


def _groups(app: Perdure, matching: Mapping[str, int]) -> list[DeadLetterGroup]:
    groups = app.ledger.letters.groups(fingerprints=list(matching), limit=FAULTS) if matching else []
    return sorted(groups, key=lambda group: -matching[group.fingerprint])

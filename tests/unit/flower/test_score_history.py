"""Scores as they were: what ended in the minutes before each minute, and what has not been read is a gap."""

from __future__ import annotations

import pytest

from perdure.ledger.jobs.history import Ended
from perdure.manage.scores import Score
from perdure.model.alerts.slo import Count
from perdure_workers.facts.score_history import score_views


def test_a_score_s_minutes() -> None:
    good, bad = [Ended("normal", "pay", 10, 0)], [Ended("normal", "pay", 5, 5), Ended("normal", "mail", 0, 9)]
    scores = [Score("task", "pay", 20, 5, 0.75), Score("service", "bank", 9, 9, 0.0)]
    calls = {"bank": [Count(9, 0), Count(5, 5), Count(), Count(0, 10)]}
    task, service = score_views(scores, [good, bad, None, []], calls, minutes=2, minimum=10)
    assert task.by_minute == [1.0, 0.75, None, 1.0], "nothing lately says nothing bad"
    assert service.by_minute == pytest.approx([1.0, 14 / 19, 0.5, 0.0])
    [mail] = score_views([Score("task", "mail", 9, 9, 1.0)], [bad], calls, minutes=2, minimum=10)
    assert mail.by_minute == [1.0], "nine calls are too few to judge by"
    assert score_views([Score("service", "other", 1, 0, 1.0)], [bad], calls, 2, 10)[0].by_minute == []

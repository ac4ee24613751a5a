"""Each expression of the dashboard in ``deploy/`` asks for series that the platform exposes, by labels that they have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perdure import Perdure
from perdure.model.metrics import METRICS, Count, Metric, series_of
from perdure_workers.monitoring.dashboard import ROWS, Panel, dashboard
from perdure_workers.monitoring.exposition import exposition

FILE = Path(__file__).parents[3] / "deploy" / "grafana-dashboard.json"
PANELS = [panel for row in ROWS.values() for panel in row]


@pytest.fixture
def exposed(app: Perdure) -> dict[str, set[str]]:
    """The labels of each series that an application exposes once each of its metrics has a value."""
    once = [Count(metric.name, ("x",) * len(metric.labels), 1, 1.0, 0 if metric.buckets else -1) for metric in METRICS]
    page = exposition([*app.metrics.read(), *series_of(once)]).decode()
    return {sample.name: set(sample.labels) for family in text_string_to_metric_families(page) for sample in family.samples}


def test_expressions_ask_for_what_is_exposed(exposed: dict[str, set[str]]) -> None:
    for panel in (panel for panel in dashboard()["panels"] if panel["type"] != "row"):
        [target] = panel["targets"]
        [name] = re.findall(r"perdure_\w+", target["expr"])
        [by] = re.findall(r"by \(([\w, ]*)\)", target["expr"])
        assert set(by.split(", ")) <= exposed[name], panel["title"]
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= exposed[name]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metric_has_a_panel(metric: Metric) -> None:
    assert metric in [panel.metric for panel in PANELS]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.metric.name)
def test_a_panel_asks_in_the_way_of_its_kind(panel: Panel) -> None:
    assert ("rate(" in panel.expression) == (panel.metric.kind != "gauge")
    assert ("histogram_quantile(" in panel.expression) == (panel.metric.kind == "histogram")
    assert panel.expression.count("(") == panel.expression.count(")")


def test_the_file_is_current_write_it_with_perdure_metrics() -> None:
    assert json.loads(FILE.read_text()) == dashboard()


def test_panels_lie_beside_each_other() -> None:
    taken = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard()["panels"]]
    assert len(set(taken)) == len(taken)
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(taken)

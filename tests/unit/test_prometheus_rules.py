"""The rules file in deploy/ is that of the rules; each expression is PromQL, and of metrics that the platform has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from msgspec.structs import replace

from perdure.model.alerts.builtin import BUILTIN
from perdure.model.alerts.slo import DAY, Slo
from perdure.model.metrics import BY_NAME
from perdure_workers.notifiers.prometheus import rules_file

FILE = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "perdure-rules.yml"
SLOS = [Slo("checkout", "shop.pay", 30.0, 0.999, 30 * DAY), Slo("mail", 'odd"task', None, 0.99, 7 * DAY)]


def entries() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(rules_file(BUILTIN, SLOS))["groups"][0]["rules"]
    return rules


def test_the_file_is_current_write_it_with_perdure_alerts_prometheus() -> None:
    assert FILE.read_text() == rules_file(BUILTIN, [])


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["alert"])
def test_each_expression_is_of_metrics_that_there_are(entry: dict[str, Any]) -> None:
    names, pending = [], [promql_parser.parse(entry["expr"])]
    while pending:
        node = pending.pop()
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            names.append(node.name)
        below = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector", "param")]
        pending += [one for one in [*below, *(getattr(node, "args", None) or [])] if one is not None]
    assert names
    assert {re.sub("_seconds_(bucket|count)$", "_seconds", name) for name in names} <= set(BY_NAME)
    assert entry["labels"]["severity"] in ("info", "warning", "critical")
    assert entry["annotations"]["todo"]


def test_what_settings_change_is_in_the_file() -> None:
    deep = next(rule for rule in BUILTIN if rule.name == "queue_too_deep")
    assert "> 7" in rules_file([replace(deep, above=7)], [])
    assert "perdure_queue_too_deep" not in rules_file([replace(deep, enabled=False)], [])

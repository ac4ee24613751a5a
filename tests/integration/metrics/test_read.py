"""``app.metrics`` reads what the platform has done, and Prometheus' own parser reads what is printed."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perdure import Discard, Perdure
from perdure.model.metrics import METRICS, Distribution
from perdure.resilience import CircuitOpen
from perdure_workers.monitoring.exposition import exposition
from perdure_workers.monitoring.http import Page, PageServer
from perdure_workers.monitoring.pages import metrics_page
from perdure_workers.monitoring.tally_writer import WAIT, TallyWriter
from perdure_workers.supervisor.duties.add_up import AddUp
from support.inline import run

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """What Prometheus' parser makes of a page: values by name and sorted labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(app: Perdure, name: str, **labels: str) -> float | None:
    return samples(exposition(app.metrics.read()).decode()).get((name, tuple(sorted(labels.items()))))


@pytest.fixture
def shop(app: Perdure) -> Perdure:
    def buy(fails: bool = False) -> int:
        if fails:
            raise Discard("no such thing")
        return 1

    app.register(buy, name="buy")
    app.register(lambda: 1, name="rest", bulkhead="background", limit=2)
    return app


def test_jobs_by_task_bulkhead_and_state(shop: Perdure) -> None:
    buy, rest = shop.task("buy"), shop.task("rest")
    for fails in (False, False, True):
        run(shop, buy.submit(fails))
    rest.submit()
    rest.options(delay=60).submit()
    of_buy = {"task": "buy", "bulkhead": "normal"}
    assert value(shop, "perdure_jobs_finished_total", state="succeeded", **of_buy) == 2
    assert value(shop, "perdure_jobs_finished_total", state="dead", **of_buy) == 1
    assert value(shop, "perdure_attempts_total", outcome="failed", **of_buy) == 1
    assert value(shop, "perdure_dead_letters_total", reason="discarded", **of_buy) == 1
    assert value(shop, "perdure_dead_letters_open", task="buy") == 1
    assert value(shop, "perdure_job_run_seconds_count", **of_buy) == 3
    assert value(shop, "perdure_job_wait_seconds_count", **of_buy) == 3
    assert value(shop, "perdure_queue_depth", bulkhead="background") == 1
    assert value(shop, "perdure_jobs_waiting", bulkhead="background") == 1
    assert value(shop, "perdure_queue_depth", bulkhead="critical") == 0  # one that has had no job yet as well
    assert value(shop, "perdure_jobs_submitted_total", bulkhead="normal") == 3
    assert value(shop, "perdure_jobs_submitted_total", bulkhead="background") == 2


def test_what_a_process_counts_reaches_the_ledger(shop: Perdure) -> None:
    mail = shop.service("mail", default="later")

    def down() -> str:
        raise ConnectionError("down")

    assert [mail.call(lambda: "sent"), mail.call(down)] == ["sent", "later"]
    shop.breakers["pay"].force_open(by="test", reason="test")
    with pytest.raises(CircuitOpen):
        shop.service("pay").call(lambda: 1)
    assert TallyWriter(shop, WAIT).write()
    AddUp(shop).run_once()
    assert value(shop, "perdure_service_calls_total", service="mail", outcome="ok") == 1
    assert value(shop, "perdure_service_calls_total", service="mail", outcome="degraded") == 1
    assert value(shop, "perdure_service_calls_total", service="pay", outcome="refused") == 1
    assert value(shop, "perdure_fallback_served_total", service="mail", level="default") == 1
    assert value(shop, "perdure_service_call_seconds_count", service="mail") == 2
    assert value(shop, "perdure_breaker_calls_total", breaker="mail", outcome="success") == 1
    assert value(shop, "perdure_breaker_open", breaker="pay") == 1


def test_a_part_that_is_away_leaves_the_others(shop: Perdure) -> None:
    away = Perdure(ledger_url=shop.settings.ledger_url, broker_url="redis://127.0.0.1:1/0", home=shop.settings.home)
    assert value(away, "perdure_up", part="ledger") == 1
    assert value(away, "perdure_queue_depth", bulkhead="normal") == 0
    away.close()


def test_each_metric_is_there_before_it_has_a_value(app: Perdure) -> None:
    page = exposition(app.metrics.read()).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)


def broken() -> Page:
    raise ValueError("broken")


@pytest.fixture
def served(shop: Perdure) -> Iterator[str]:
    server = PageServer("127.0.0.1", 0, {"/metrics": metrics_page(shop), "/broken": broken})
    server.start()
    yield server.url
    server.stop()


def test_pages_over_http(shop: Perdure, served: str) -> None:
    run(shop, shop.task("buy").submit())
    with urllib.request.urlopen(f"{served}/metrics?x=1", timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found = samples(answer.read().decode())
    labels = (("bulkhead", "normal"), ("state", "succeeded"), ("task", "buy"))
    assert found["perdure_jobs_finished_total", labels] == 1
    for path, status in (("/nothing", 404), ("/broken", 500)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(served + path, timeout=30)
        assert refused.value.code == status
        refused.value.close()


def test_a_histogram_s_buckets_add_up(shop: Perdure) -> None:
    run(shop, shop.task("buy").submit())
    [one] = [one for one in shop.metrics.read() if one.metric.name == "perdure_job_run_seconds"]
    assert isinstance(one.value, Distribution)
    page = samples(exposition([one]).decode())
    ends = sorted((float(dict(labels)["le"]), count) for (name, labels), count in page.items() if name.endswith("_bucket"))
    assert ends[-1] == (float("inf"), 1.0)
    assert [count for _, count in ends] == sorted(count for _, count in ends)
    assert one.labels == ("buy", "normal")

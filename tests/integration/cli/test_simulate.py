"""``perdure simulate``: what it says of a load, and of one that a real worker has had."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from perdure import Perdure
from support.cli import Run, invoke
from support.one_worker import running_worker

SLEEPER = """
import time
from perdure import Perdure

app = Perdure()

@app.job(name="sleep")
def sleep(seconds: float) -> None:
    time.sleep(seconds)
"""
#: Jobs that wait at once, what each takes, and the children that serve them.
JOBS, SECONDS, CHILDREN = 12, 0.25, 2
#: How far a simulation may be off, on a machine that does other things as well.
FACTOR = 2.0


def test_a_load_is_answered_with_numbers_and_a_picture(perdure: Run, tmp_path: Path) -> None:
    asked = ["simulate", "--rate", "9", "--service", "1", "-c", "10", "--duration", "300", "--outage", "100", "130"]
    found = perdure(*asked, "--breaker", "5", "--seed", "4", "--plot", str(tmp_path / "plot.svg"), "--json").json
    assert found["seed"] == 4
    assert found["offered"] == 9.0
    assert found["wait_p50"] <= found["wait_p95"] <= found["wait_max"]
    assert ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")
    assert "9.0 of 10 children busy" in perdure(*asked).out


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--service", "1"], "give --rate"),
        (["--rate", "1"], "give --service"),
        (["--rate", "1", "--service", "1", "--outage", "5", "5"], "ends after it began"),
        (["--from-ledger", "normal"], "no attempt has ended in 'normal' lately"),
    ],
)
def test_what_is_missing_is_said(perdure: Run, asked: list[str], told: str) -> None:
    ended = perdure("simulate", *asked)
    assert ended.code == 2
    assert told in ended.err


@pytest.mark.slow
def test_a_real_worker_takes_as_long_as_is_simulated(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    app = Perdure(ledger_url=sqlite_url, broker_url=redis_url, home=tmp_path / "home")

    @app.job(name="sleep")
    def sleep(seconds: float) -> None: ...

    with running_worker(app, SLEEPER, redis_url, tmp_path, CHILDREN):
        sleep.submit(0.0).wait(timeout=60)
        jobs = sleep.submit_many([(SECONDS,)] * JOBS)
        for job in jobs:
            job.wait(timeout=60)
    records = [app.ledger.jobs.get(job.id) for job in jobs]
    waits = [(one.started_at - one.created_at).total_seconds() for one in records if one.started_at and one.created_at]
    asked = ["--from-ledger", "normal", "--rate", "0", "--backlog", str(JOBS), "-c", str(CHILDREN), "--json"]
    ended = invoke(app, "simulate", *asked)
    assert ended.exit_code == 0, ended.output
    app.close()
    simulated = json.loads(ended.stdout)
    print(f"waits {sum(waits) / JOBS:.3f} and at most {max(waits):.3f} s; simulated: {simulated}")
    assert simulated["wait_mean"] / FACTOR < sum(waits) / JOBS < simulated["wait_mean"] * FACTOR
    assert simulated["wait_max"] / FACTOR < max(waits) < simulated["wait_max"] * FACTOR

"""``perdure schedules`` and ``perdure jobs logs`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perdure.ledger import Ledger
from perdure.model.job_log import Chunk, LogBounds, Said
from support.cli import Run
from support.ledgers import SUCCEED, claimed

APP = """
from typing import Annotated
from perdure import Perdure, Secret

app = Perdure()

@app.periodic(every=60, args=("4711-secret",), jitter=5)
@app.job(name="shop.poll")
def poll(token: Annotated[str, Secret]) -> None: ...
"""


@pytest.fixture
def schedules(folder: Path, perdure: Run) -> Run:
    (folder / "cli_periodic.py").write_text(APP)
    return lambda *arguments, **options: perdure("schedules", *arguments, app="cli_periodic:app", **options)


def test_list(schedules: Run) -> None:
    [listed] = schedules("list", "--json").json
    assert (listed["name"], listed["when"], listed["last"], listed["paused"]) == (
        "shop.poll",
        "every 60 s, up to 5 s later",
        None,
        None,
    )
    assert (listed["args"], len(listed["next"])) == (["***"], 3)
    assert "no supervisor has seen it" in schedules("list").out
    assert max(len(line) for line in schedules("list", columns=80).out.splitlines()) <= 80


def test_pause_and_resume(schedules: Run) -> None:
    assert "Resume it with: perdure schedules resume shop.poll" in schedules("pause", "shop.poll", "--reason", "quiet").out
    assert schedules("list", "--json").json[0]["paused"]["reason"] == "quiet"
    assert "paused" in schedules("list").out
    assert schedules("resume", "shop.poll", "--json").json == {"name": "shop.poll", "paused": False}
    assert "was not paused" in schedules("resume", "shop.poll").out
    refused = schedules("pause", "shop.pol")
    assert refused.code == 1
    assert "Did you mean 'shop.poll'" in refused.err


def test_trigger(schedules: Run, perdure: Run) -> None:
    job = schedules("trigger", "shop.poll", "--json").json["job"]
    assert perdure("jobs", "show", job, "--json", app="cli_periodic:app").json["args"] == ["***"]


def test_backfill(schedules: Run) -> None:
    stretch = ("shop.poll", "--from", "2026-01-01", "--to", "2026-01-01T00:05:00")
    assert schedules("backfill", *stretch, "--dry-run", "--json").json == {
        "name": "shop.poll", "submitted": 0, "missed": 5, "have_jobs": 0, "forgotten": 5,
    }  # fmt: skip
    asked = schedules("backfill", *stretch)
    assert asked.code == 2
    assert "5 ticks of shop.poll have no job, 0 have one." in asked.out
    assert "may have run" in asked.out
    assert "Submit 5 jobs of shop.poll?" in asked.err
    assert schedules("backfill", *stretch, "--yes", "--json").json["submitted"] == 5
    assert schedules("backfill", *stretch, "--yes", "--json").json == {
        "name": "shop.poll", "submitted": 0, "missed": 0, "have_jobs": 5, "forgotten": 0,
    }  # fmt: skip
    assert "is no moment" in schedules("backfill", "shop.poll", "--from", "nonsense").err


def test_logs_of_a_job(perdure: Run, ledger: Ledger) -> None:
    job_id = perdure("submit", "shop.add", "--args", "[1]", "--json").json["id"]
    nothing = perdure("jobs", "logs", job_id)
    assert (nothing.code, nothing.out) == (0, "")
    assert "has said nothing by ctx.log" in nothing.err
    lines = (Said(0.0, "INFO", "begun"), Said(1.5, "ERROR", "no\x1b[31m\n2026-01-01 forged"))
    ledger.jobs.write_logs([Chunk(job_id, "shop.add", 1, 1, 3, lines, LogBounds())])
    assert perdure("jobs", "logs", job_id[-12:]).out.splitlines() == [
        "... 2 lines before this one were not kept ...",
        "1970-01-01 00:00:00 #1 INFO    begun",
        "1970-01-01 00:00:01 #1 ERROR   no\\x1b[31m",
        "  | 2026-01-01 forged",
    ]
    first, second = map(json.loads, perdure("jobs", "logs", job_id, "--json").out.splitlines())
    assert (first["number"], first["text"], first["at"]) == (3, "begun", "1970-01-01T00:00:00Z")
    assert second["text"] == "no\x1b[31m\n2026-01-01 forged"


def test_following_ends_with_the_job(perdure: Run, ledger: Ledger) -> None:
    job_id = perdure("submit", "shop.add", "--args", "[1]", "--json").json["id"]
    ledger.jobs.write_logs([Chunk(job_id, "shop.add", 1, 1, 1, (Said(0.0, "INFO", "begun"),), LogBounds())])
    ledger.jobs.settle(claimed(ledger, job_id), SUCCEED)
    followed = perdure("jobs", "logs", job_id, "--follow")
    assert followed.out.splitlines() == ["1970-01-01 00:00:00 #1 INFO    begun"]
    assert f"job {job_id} is succeeded" in followed.err

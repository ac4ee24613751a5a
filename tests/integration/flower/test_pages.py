"""Flower's pages over HTTP, without a browser: what they show, what their forms do, what the stream and the API say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from perdure import JobHandle, JobState
from perdure_workers.incarnation import Incarnation
from support.flower_site import OPERATOR, Site
from support.inline import run_once
from support.waiting import wait_until

#: A dead letter for each reason that the tests need one.
Die = Callable[..., str]


class Visitor:
    """A browser without scripts: loads pages, sends their forms back."""

    def __init__(self, site: Site) -> None:
        self.client = httpx.Client(base_url=site.flower.url, auth=OPERATOR, timeout=30)

    def see(self, path: str) -> str:
        return self.client.get(path).raise_for_status().text

    def send(self, path: str, **form: Any) -> str:
        """Send a form with the token of its page; return the page that says what was done."""
        token = re.findall(r'name="_xsrf" value="([^"]+)"', self.see(path))[0]
        answer = self.client.post(path, data={"_xsrf": token, **form})
        assert answer.status_code == 303, answer.text
        return self.see(answer.headers["Location"])


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    made = Visitor(site)
    yield made
    made.client.close()


@pytest.fixture
def die(site: Site) -> Die:
    """A function that lets a job die and returns its letter's id."""

    def letter(*args: Any, task: str = "site.divide", **kwargs: Any) -> str:
        job: JobHandle[Any] = site.app.task(task).submit(*(args or (1, 0)), **kwargs)
        assert run_once(site.app, job) == "dead"
        return str(job.refresh().record.dead_letter_id)

    return letter


def test_the_overview_says_what_there_is(site: Site, visitor: Visitor) -> None:
    waiting = site.app.task("site.pay").submit("o-1")
    page = visitor.see("/perdure/overview")
    for bulkhead in ("critical", "normal", "background"):
        assert bulkhead in page
    assert "no worker" in page
    paused = visitor.send("/perdure/overview", action="pause", of="normal", reason="deploy")
    assert "wait until it is resumed" in paused
    assert "normal is paused by perdure" in visitor.see("/perdure/overview")
    visitor.send("/perdure/overview", action="resume", of="normal")
    waiting.cancel()


def test_jobs_are_found_by_filters_and_pages(site: Site, visitor: Visitor) -> None:
    made = [site.app.task("site.pay").options(delay=3600, tags={"wave": "pages"}).submit(f"o-{n}") for n in range(60)]
    first = visitor.see("/perdure/jobs?tag=wave%3Dpages")
    older = re.findall(r'rel="next" href="([^"]+)"', first)[0].replace("&amp;", "&")
    second = visitor.client.get(httpx.URL(site.flower.url + "/perdure/jobs").join(older)).raise_for_status().text
    shown = [{job.id for job in made if job.id in page} for page in (first, second)]
    assert [len(ids) for ids in shown] == [50, 10]
    assert shown[0] | shown[1] == {job.id for job in made}
    assert not any(job.id in visitor.see("/perdure/jobs?state=succeeded&tag=wave%3Dpages") for job in made)
    assert visitor.client.get(f"/perdure/find?id={made[0].id}").headers["Location"].endswith(made[0].id)


def test_a_job_s_page_tells_its_life(site: Site, visitor: Visitor) -> None:
    job = site.app.task("site.steps").submit("o-7")
    assert "no worker" in visitor.see(f"/perdure/jobs/{job.id}").lower()  # why it is not running
    assert run_once(site.app, job) == "succeeded"
    page = visitor.see(f"/perdure/jobs/{job.id}")
    for text in ("succeeded", "2 of 2", "Checkpoint 1", "Steps done: quote, mail", "seq 9 is damaged"):
        assert text in page, text
    assert "&#34;ended&#34;" in page or "&quot;ended&quot;" in page


def test_a_letter_is_edited_and_replayed(site: Site, visitor: Visitor, die: Die) -> None:
    letter_id = die(1, 0)
    page = visitor.see(f"/perdure/dead-letters/{letter_id}")
    assert "ZeroDivisionError" in page
    assert "Traceback" in page
    refused = visitor.send(f"/perdure/dead-letters/{letter_id}", action="replay", args='[1, "x"]')
    assert "alert-danger" in refused
    assert "site.divide" in refused
    assert site.app.dead_letters.get(letter_id).status == "open"

    told = visitor.send(f"/perdure/dead-letters/{letter_id}", action="replay", args="[1, 2]", kwargs="{}")
    assert "Replayed as this job." in told
    letter = site.app.dead_letters.get(letter_id)
    replay = site.app.jobs.get(letter.replayed_as or "")
    assert (letter.status, letter.replayed_by, replay.record.args) == ("replayed", "perdure", [1, 2])
    assert run_once(site.app, replay) == "succeeded"
    lineage = visitor.see(f"/perdure/jobs/{replay.id}")
    assert letter.job_id is not None
    assert letter.job_id in lineage
    assert "replay" in visitor.see(f"/perdure/dead-letters/{letter_id}")  # in its audit trail


def test_a_masked_secret_stays_what_it_is_in_a_replay(site: Site, visitor: Visitor, die: Die) -> None:
    letter_id = die("o-1", task="site.refuse", password="hunter-2")
    assert "hunter-2" not in visitor.see(f"/perdure/dead-letters/{letter_id}")
    visitor.send(f"/perdure/dead-letters/{letter_id}", action="replay", args='["o-2"]', kwargs='{"password": "***"}')
    replay = site.app.jobs.get(site.app.dead_letters.get(letter_id).replayed_as or "").record
    assert (replay.args, replay.kwargs) == (["o-2"], {"password": "hunter-2"})


def test_many_letters_are_planned_replayed_and_discarded(site: Site, visitor: Visitor, die: Die) -> None:
    letters = [die(number, 0) for number in range(3)]
    fingerprint = site.app.dead_letters.get(letters[0]).fingerprint
    path = f"/perdure/dead-letters?fingerprint={fingerprint}"
    open_now = site.app.dead_letters.count(fingerprint=fingerprint, status="open")
    planned = visitor.send(path, action="replay", fingerprint=fingerprint, dry_run="on", canary="1")
    assert f"{open_now} letters would be replayed" in planned
    started = visitor.send(path, action="replay", fingerprint=fingerprint, rate="50/s", canary="0")
    assert "This job replays them" in started
    visitor.send(path, action="note", fingerprint=fingerprint, text="known, fixed in 1.4")
    assert "known, fixed in 1.4" in visitor.see("/perdure/dead-letters")
    discarded = visitor.send(path, action="discard", fingerprint=fingerprint, because="tests")
    assert f"{open_now} letters are discarded" in discarded
    assert {site.app.dead_letters.get(letter).status for letter in letters} == {"discarded"}


def test_a_breaker_is_forced_and_reset(site: Site, visitor: Visitor) -> None:
    breaker = site.app.breakers["site"]
    breaker.call(lambda: None)
    assert "for 60 s" in visitor.send("/perdure/breakers", action="open", of="site", seconds="60", reason="they said so")
    wait_until(lambda: breaker.state == "open", 30)
    page = visitor.see("/perdure/breakers")
    assert "they said so" in page
    visitor.send("/perdure/breakers", action="reset", of="site")
    wait_until(lambda: breaker.state == "closed", 30)


def test_workers_are_shown_with_their_leases(site: Site, visitor: Visitor) -> None:
    worker = Incarnation.new("shown", "normal", 3)
    row = {"id": worker.id, "name": worker.name, "bulkhead": "normal", "host": "far", "pid": 7, "concurrency": 3}
    site.app.ledger.register_worker({**row, "lease_ttl": 60.0, "lock_path": None})
    assert worker.name in visitor.see("/perdure/workers")
    site.app.ledger.change_worker_state(worker.id, "failed", "missed its heartbeats in a test")
    assert "missed its heartbeats in a test" in visitor.see("/perdure/workers")


def test_the_stream_tells_of_a_change(site: Site) -> None:
    job = site.app.task("site.pay").options(delay=3600).submit("streamed")
    with (
        httpx.Client(base_url=site.flower.url, auth=OPERATOR, timeout=60) as client,
        client.stream("GET", f"/perdure/stream/job?of={job.id}") as stream,
    ):
        updates = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
        assert "scheduled" in next(updates)
        job.cancel()
        assert any("cancelled" in update for update in updates)


def test_the_api_says_what_the_pages_show(site: Site, die: Die) -> None:
    letter_id = die(1, 0)
    get = lambda path: site.flower.get(f"/api/perdure/{path}").raise_for_status().json()  # noqa: E731
    assert {one["name"] for one in get("overview")["bulkheads"]} == {"critical", "normal", "background"}
    assert letter_id in {one["id"] for one in get("dead-letters?status=open")["letters"]}
    assert get(f"dead-letters/{letter_id}")["detail"]["letter"]["error_type"] == "ZeroDivisionError"
    assert "live" in get("workers")
    assert get("breakers")["breakers"] is not None
    answer = (
        site.flower.post(f"/api/perdure/dead-letters/{letter_id}/replay", json={"args": [4, 2]}).raise_for_status().json()
    )
    assert get(f"jobs/{answer['job_id']}")["job"]["args"] == [4, 2]
    told = site.flower.post("/api/perdure/dead-letters/all/replay", json={"task": "site.divide", "dry_run": True})
    assert "would be replayed" in told.json()["message"]


def test_metrics_carry_perdure_s(site: Site) -> None:
    def metrics() -> str:
        return str(site.flower.get("/metrics").text)

    wait_until(lambda: "perdure_queue_depth" in metrics(), 30)
    page = metrics()
    for name in ("perdure_up", "perdure_jobs_running", "perdure_dead_letters_open", "perdure_workers"):
        assert name in page
    assert 'perdure_up{part="ledger"} 1.0' in page


def test_a_restarted_flower_has_lost_nothing(site: Site) -> None:
    job = site.app.task("site.pay").submit("before")
    assert run_once(site.app, job) == JobState.SUCCEEDED
    with site.another() as flower:
        assert "succeeded" in flower.get(f"/perdure/jobs/{job.id}").text


def test_flower_s_broker_tab_shows_what_waits_in_the_ledger(site: Site, visitor: Visitor) -> None:
    before = site.app.bulkheads["normal"].counts.queued
    for number in range(3):
        site.app.task("site.pay").submit(f"o-{number}")
    text = visitor.see("/broker")
    row = text.split('id="perdure.normal"')[1].split("</tr>")[0]
    assert f"<td>{before + 3}</td>" in row

"""Flower's pages over HTTP, without a browser: what they show, what their forms do, what the stream and the API say."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from perdure import JobHandle, JobState
from perdure.model.job_log import Chunk, LogBounds, Said
from perdure.model.metrics import FALLBACK, SERVICE_CALLS, Count
from perdure_workers.recovery.incarnation import Incarnation
from support.flower_site import OPERATOR, Site
from support.inline import run, run_once
from support.ledgers import LOSE, SUCCEED, claimed, running
from support.waiting import wait_until

pytestmark = pytest.mark.slow

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
        if answer.status_code == 400:  # what was typed is still there
            return answer.text
        assert answer.status_code == 303, answer.text
        return self.see(answer.headers["Location"])

    def carried(self, path: str) -> dict[str, str]:
        """Return what the form of a list carries of the page that it stands on."""
        form = re.findall(r'<form method="post" id="selection".*?</form>', self.see(path), re.DOTALL)[0]
        found = re.findall(r'<input type="hidden" name="([a-z]+)" value="([^"]*)">', form)
        return {name: html.unescape(value) for name, value in found}


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    made = Visitor(site)
    yield made
    made.client.close()


@pytest.fixture
def die(site: Site) -> Die:
    """A function that lets a job die and returns its letter's id."""

    def letter(*args: Any, task: str = "site.divide", **kwargs: Any) -> str:
        site.app.breakers["site"].reset()  # so many deaths would open it
        job: JobHandle[Any] = site.app.task(task).submit(*(args or (1, 0)), **kwargs)
        assert run_once(site.app, job) == "dead"
        return str(job.refresh().record.dead_letter_id)

    return letter


def test_faults_that_are_injected_are_seen_on_every_page(site: Site, visitor: Visitor) -> None:
    site.app.faults.add("latency", "service:mail", delay=0.01, owner="<ann>")
    assert "latency on service:mail, by &lt;ann&gt;, until" in visitor.see("/perdure/tasks")
    assert "injected here on purpose" in visitor.see("/perdure/overview")
    site.app.faults.clear()
    assert "injected here on purpose" not in visitor.see("/perdure/overview")


def test_the_overview_says_what_there_is(site: Site, visitor: Visitor) -> None:
    waiting = site.app.task("site.pay").submit("o-1")
    page = visitor.see("/perdure/overview")
    for bulkhead in ("critical", "normal"):
        assert bulkhead in page
    assert "no worker" in page
    paused = visitor.send("/perdure/overview", action="pause", of="normal", reason="deploy")
    assert "wait until it is resumed" in paused
    site.app.alerts.look(always=True)
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


def test_jobs_are_counted_searched_and_sorted(site: Site, visitor: Visitor) -> None:
    tag = {"wave": "search"}
    first = site.app.task("site.pay").options(delay=3600, tags=tag).submit("needle-1", password="haystack-9")
    second = site.app.task("site.refuse").options(tags=tag).submit("o-2")
    assert run_once(site.app, second) == "dead"
    page = visitor.see("/perdure/jobs?tag=wave%3Dsearch")
    assert re.search(r"scheduled</span>\s*1</a>", page)
    assert re.search(r"dead</span>\s*1</a>", page)
    ids = lambda query: re.findall(r'title="([0-9a-f-]{36})"', visitor.see(f"/perdure/jobs?{query}"))  # noqa: E731
    assert ids("tag=wave%3Dsearch&text=NEEDLE") == [first.id]
    assert ids("tag=wave%3Dsearch&text=is+refused") == [second.id]
    assert ids("tag=wave%3Dsearch&text=haystack") == []  # a secret is not found by guessing
    assert ids("tag=wave%3Dsearch") == [second.id, first.id]
    assert ids("tag=wave%3Dsearch&sort=oldest") == [first.id, second.id]
    first.cancel()


def test_ticked_jobs_are_cancelled_or_run_again(site: Site, visitor: Visitor) -> None:
    waits = [site.app.task("site.pay").options(delay=3600, tags={"wave": "bulk"}).submit(f"b-{n}") for n in range(3)]
    dead = site.app.task("site.refuse").submit("o-1")
    run_once(site.app, dead)
    said = visitor.send("/perdure/jobs", action="cancel-selected", id=[waits[0].id, dead.id], reason="deploy")
    assert "1 cancelled. 1 had ended" in said
    page = visitor.see(f"/perdure/jobs/{waits[0].id}")
    assert "deploy (by perdure in Flower)" in page  # who cancelled, and why
    assert "2 run again." in visitor.send("/perdure/jobs", action="retry-selected", id=[waits[1].id, dead.id])
    assert waits[1].refresh().record.run_at != waits[2].record.run_at
    assert site.app.dead_letters.get(dead.record.dead_letter_id or "").status == "replayed"

    for since, count in (("now", "0 jobs"), ("1h", "2 jobs")):
        page = f"/perdure/jobs?tag=wave%3Dbulk&since={since}&sort=task"
        assert f"Cancel {count}?" in visitor.send(page, action="cancel", **visitor.carried(page))
    page = f"/perdure/jobs?{urlencode({'tag': 'wave=bulk', 'text': 'B-2'})}"
    assert "Cancel 1 job?" in visitor.send(page, action="cancel", **visitor.carried(page))
    assert waits[2].state == "scheduled"
    assert "2 jobs cancelled" in visitor.send("/perdure/jobs", action="cancel", tag="wave=bulk", confirmed="yes")
    assert [job.state for job in waits] == ["cancelled"] * 3
    assert "waits again" in visitor.send(f"/perdure/jobs/{waits[0].id}", action="restore")
    assert "1 restored. 1 had ended" in visitor.send("/perdure/jobs", action="restore-selected", id=[waits[1].id, dead.id])
    assert [job.state for job in waits] == ["queued", "queued", "cancelled"]
    assert all(job.cancel() for job in waits[:2])


def test_only_what_can_be_done_now_is_offered(site: Site, visitor: Visitor) -> None:
    def offered(job: JobHandle[Any]) -> set[str]:
        return set(re.findall(r'form="act" name="action" value="([a-z-]+)"', visitor.see(f"/perdure/jobs/{job.id}")))

    waiting = site.app.task("site.pay").options(delay=3600).submit("o-1")
    assert offered(waiting) == {"cancel", "run-now"}
    waiting.cancel()
    assert offered(waiting) == {"restore"}
    queued = site.app.task("site.refuse").submit("o-1")
    assert offered(queued) == {"cancel"}
    run_once(site.app, queued)
    assert offered(queued) == {"retry"}
    assert "Replayed as this job." in visitor.send(f"/perdure/jobs/{queued.id}", action="retry")
    assert offered(queued) == set()


def test_a_running_attempt_is_shown_with_its_start(site: Site, visitor: Visitor) -> None:
    job = site.app.task("site.pay").submit("o-1")
    claim = claimed(site.app.ledger, job.id, worker="runs@here", pid=4711)
    page = visitor.see(f"/perdure/jobs/{job.id}")
    assert "Runs since" in page
    assert "runs@here, process 4711" in page
    assert "so far" in page
    job.cancel("enough")
    page = visitor.see(f"/perdure/jobs/{job.id}")
    assert "Asked to stop" in page
    assert 'value="cancel"' not in page
    site.app.ledger.jobs.settle(claim, SUCCEED)


def test_a_traceback_begins_with_the_job_s_own_frame(visitor: Visitor, die: Die) -> None:
    page = html.unescape(visitor.see(f"/perdure/dead-letters/{die(1, 0)}"))
    trace = page.partition('aria-label="Traceback"><code>')[2].partition("</code>")[0]
    assert re.search(r'^Traceback.*\n  File ".*flower_site.py", line \d+, in divide', trace)
    assert "perdure_workers" not in trace
    assert "perdure_workers" in page  # in the whole one, folded


def test_a_halted_replay_is_not_green(site: Site, visitor: Visitor, die: Die) -> None:
    letters = [die(number, 0) for number in range(3)]
    fingerprint = site.app.dead_letters.get(letters[0]).fingerprint
    job = site.app.dead_letters.replay_many(fingerprint=fingerprint, canary=1)
    count = site.app.dead_letters.count(fingerprint=fingerprint, status="open")
    assert run_once(site.app, job) == "retrying"
    [canary] = [one for one in site.app.jobs.list(task="site.divide", state="queued") if one.record.replay_of]
    run_once(site.app, canary)
    assert run(site.app, job) == "succeeded"
    page = visitor.see(f"/perdure/jobs/{job.id}")
    assert "perdure-bad&#34;>halted" in page or 'perdure-bad">halted' in page
    assert f"Halted: 1 of {count} letters replayed" in page
    assert site.flower.get(f"/api/perdure/jobs/{job.id}").json()["halted"]["total"] == count
    assert re.search(r"halted</span>", visitor.see("/perdure/jobs?task=perdure.replay"))


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


def test_many_letters_are_counted_asked_for_replayed_and_discarded(site: Site, visitor: Visitor, die: Die) -> None:
    letters = [die(number, 0) for number in range(3)]
    fingerprint = site.app.dead_letters.get(letters[0]).fingerprint
    path = f"/perdure/dead-letters?fingerprint={fingerprint}"
    open_now = site.app.dead_letters.count(fingerprint=fingerprint, status="open")
    asked = visitor.send(path, action="replay", fingerprint=fingerprint, canary="1")
    assert f"Replay {open_now} dead letters?" in asked
    assert f"{open_now} of site.divide" in asked
    assert site.app.jobs.list(task="perdure.replay", state="queued") == []
    confirmed = {"fingerprint": fingerprint, "confirmed": "yes"}
    started = visitor.send(path, action="replay", rate="50/s", canary="0", **confirmed)
    assert "This job replays them" in started
    visitor.send(path, action="note", fingerprint=fingerprint, text="known, fixed in 1.4")
    assert "known, fixed in 1.4" in visitor.see("/perdure/dead-letters")
    assert f"Discard {open_now} dead letters?" in visitor.send(path, action="discard", fingerprint=fingerprint)
    assert {site.app.dead_letters.get(letter).status for letter in letters} == {"open"}
    discarded = visitor.send(path, action="discard", because="tests", **confirmed)
    assert f"{open_now} letters discarded" in discarded
    assert {site.app.dead_letters.get(letter).status for letter in letters} == {"discarded"}

    first, last = (re.findall(rf'name="{name}" value="([^"]+)"', discarded)[0] for name in ("first", "last"))
    undone = visitor.send(path, action="undo-discard", first=first, last=last)
    assert f"{open_now} letters put back" in undone
    assert {site.app.dead_letters.get(letter).status for letter in letters} == {"open"}
    assert "0 letters" in visitor.send(path, action="undo-discard", first=first, last=last)


def test_ticked_rows_are_discarded_replayed_and_told_of_one_by_one(site: Site, visitor: Visitor, die: Die) -> None:
    mine, other = [die(number, 0) for number in range(2)], die(7, 0)
    path = "/perdure/dead-letters"
    assert "2 discarded" in visitor.send(path, action="discard-selected", id=mine, because="both")
    assert [site.app.dead_letters.get(letter).status for letter in (*mine, other)] == ["discarded", "discarded", "open"]
    said = visitor.send(path, action="replay-selected", id=[other, *mine])
    assert "1 replayed. 2 refused, such as" in said
    assert "alert-danger" in said
    assert site.app.dead_letters.get(other).status == "replayed"
    assert "tick 1 to" in visitor.send(path, action="replay-selected")
    reopened = visitor.send(f"{path}/{mine[0]}", action="reopen")
    assert "The letter is open." in reopened
    assert "reopen" in reopened  # in its audit trail


def test_faults_are_those_of_the_letters_that_match(visitor: Visitor, die: Die) -> None:
    die(1, 0, task="site.divide")
    die("rare-word-7", task="site.refuse")
    faults = visitor.see("/perdure/dead-letters?text=rare-word-7").partition('id="letters"')[0]
    assert "ValueError" in faults
    assert "ZeroDivisionError" not in faults
    assert "ZeroDivisionError" in visitor.see("/perdure/dead-letters?task=site.divide").partition('id="letters"')[0]


def test_the_settings_of_a_bulk_replay_stay_after_a_mistake(visitor: Visitor, die: Die) -> None:
    die("o-1", task="site.refuse")
    asked = {"task": "site.refuse", "canary": "7", "rate": "fast", "confirmed": "yes"}
    token = re.findall(r'name="_xsrf" value="([^"]+)"', visitor.see("/perdure/dead-letters"))[0]
    form = {"_xsrf": token, "action": "replay", **asked}
    again = visitor.client.post("/perdure/dead-letters", data=form, follow_redirects=True).text
    assert "rate=&#x27;fast&#x27; cannot be read" in again
    assert {'value="7"', 'value="fast"'} <= set(re.findall(r'value="[^"]*"', again))
    assert "Replay " in again.partition("<h1>")[2][:8]


@pytest.mark.parametrize("kind", ["jobs", "dead-letters"])
def test_a_wrong_filter_stays_in_its_form_with_what_is_wrong(visitor: Visitor, kind: str) -> None:
    answer = visitor.client.get(f"/perdure/{kind}?since=whenever&task=site.pay")
    assert answer.status_code == 400
    assert "since=&#x27;whenever&#x27; is no moment" in answer.text
    assert re.search('name="since"[^>]*value="whenever"', answer.text)


def test_what_turns_or_hides_text_is_shown_as_an_escape(site: Site, visitor: Visitor, die: Die) -> None:
    hostile = "to\u202egnp.exe\x1b[2J\u200b<b>"
    letter_id = die(hostile, task="site.refuse")
    job_id = site.app.dead_letters.get(letter_id).job_id
    for path in ("jobs", f"jobs/{job_id}", "dead-letters", f"dead-letters/{letter_id}", "overview", "tasks"):
        page = visitor.see(f"/perdure/{path}")
        assert not set(page) & set("\u202e\x1b\u200b"), path
        assert "to\\u202egnp.exe" in page, path
    form = re.findall(r'name="args"[^>]*>([^<]*)<', visitor.see(f"/perdure/dead-letters/{letter_id}"))[0]
    assert json.loads(html.unescape(form)) == [hostile]  # what is edited is still what it was


def test_perdure_s_own_errors_go_by_the_names_that_people_know(site: Site, visitor: Visitor, die: Die) -> None:
    letter = site.app.dead_letters.get(die("o-1", task="site.give-up"))
    assert letter.error_type == "perdure.control.Discard"  # the ledger keeps the name that it has known first
    assert "perdure.control" not in visitor.see("/perdure/dead-letters").partition('id="groups"')[2]
    assert letter.id in visitor.see("/perdure/dead-letters?error=Discard&status=open")


def test_what_was_typed_stays_after_a_mistake(visitor: Visitor, die: Die) -> None:
    letter_id = die(1, 0)
    wrong = visitor.send(f"/perdure/dead-letters/{letter_id}", action="replay", args="[1, 2,, my long edit]", kwargs="{}")
    assert "args is not JSON" in wrong
    assert "[1, 2,, my long edit]</textarea>" in wrong


def test_a_replayed_letter_takes_no_new_arguments_by_its_page(visitor: Visitor, die: Die) -> None:
    letter_id = die(1, 0)
    path = f"/perdure/dead-letters/{letter_id}"
    visitor.send(path, action="replay", args="[1, 2]", kwargs="{}")
    assert "and with another call than this one" in visitor.send(path, action="replay", args="[1, 3]", kwargs="{}")
    assert "Replayed as this job." in visitor.send(path, action="replay", args="[1, 3]", kwargs="{}", force="on")


@pytest.mark.parametrize("kind", ["jobs", "dead-letters"])
def test_any_unique_part_of_an_id_finds_it(site: Site, visitor: Visitor, die: Die, kind: str) -> None:
    letter_id = die(1, 0)
    whole = letter_id if kind == "dead-letters" else str(site.app.dead_letters.get(letter_id).job_id)
    for part in (whole, whole[:-1], whole[-12:], f" {whole.upper()} "):
        assert visitor.client.get("/perdure/find", params={"id": part}).headers["Location"] == f"/perdure/{kind}/{whole}"
        assert whole in visitor.see(f"/perdure/{kind}/{part.strip()}")
        assert whole in visitor.see(f"/api/perdure/{kind}/{part.strip()}")
    for unknown in ("none", "0", "%25", "a%00b"):
        answer = visitor.client.get(f"/perdure/{kind}/{unknown}")
        assert answer.status_code == 404
        assert "There is no such thing" in answer.text
        assert "perdure.css" in answer.text
    assert visitor.client.get("/perdure/find?id=none").status_code == 404
    assert "several" in visitor.client.get(f"/api/perdure/{kind}/0").json()["error"]


def test_a_breaker_is_forced_and_reset(site: Site, visitor: Visitor) -> None:
    breaker = site.app.breakers["site"]
    breaker.call(lambda: None)
    assert "for 60 s" in visitor.send("/perdure/breakers", action="open", of="site", seconds="60", reason="they said so")
    wait_until(lambda: breaker.state == "open", 30)
    page = visitor.see("/perdure/breakers")
    assert "they said so" in page
    visitor.send("/perdure/breakers", action="reset", of="site")
    wait_until(lambda: breaker.state == "closed", 30)


def metrics_of(site: Site) -> list[str]:
    return str(site.flower.get("/metrics").text).splitlines()


def test_failover_groups_are_shown_with_their_switches(site: Site, visitor: Visitor) -> None:
    site.app.failover["mail"].promote("us", reason="eu moves house", by="ann")
    [group] = site.flower.get("/api/perdure/breakers").json()["failover"]
    assert (group["name"], group["current"], group["members"]) == ("mail", "us", ["eu", "us"])
    section = visitor.see("/perdure/breakers").split('id="failover-mail"')[1].split("</article>")[0]
    assert "eu → us eu moves house (ann)" in section
    wait_until(lambda: 'perdure_failover_current{group="mail",member="us"} 1.0' in metrics_of(site), 30)
    found = metrics_of(site)
    assert 'perdure_failover_current{group="mail",member="eu"} 0.0' in found
    assert 'perdure_failover_healthy{group="mail",member="us"} 1.0' in found
    assert 'perdure_failover_switches_total{group="mail"} 1.0' in found


def test_primary_backup_groups_are_shown_with_their_promotions(site: Site, visitor: Visitor) -> None:
    assert "It has had one primary only" in visitor.see("/perdure/breakers").split('id="group-stock"')[1]
    site.app.groups["stock"].promote("us", reason="eu moves house", by="ann")
    section = visitor.see("/perdure/breakers").split('id="group-stock"')[1].split("</article>")[0]
    assert "us, epoch 2, promoted by ann: eu moves house" in section
    assert "eu → us eu moves house (ann)" in section


def test_services_are_shown_with_what_served_their_calls(site: Site, visitor: Visitor) -> None:
    calls = [Count(SERVICE_CALLS.name, ("mail", "ok"), 3), Count(SERVICE_CALLS.name, ("mail", "degraded"), 1)]
    served = [Count(FALLBACK.name, ("mail", "primary"), 3), Count(FALLBACK.name, ("mail", "cached"), 1)]
    site.app.ledger.count([*calls, *served])
    section = visitor.see("/perdure/breakers").split('id="services"')[1].split("</section>")[0]
    assert "1 degraded, 3 ok" in section
    assert "primary 3 (75%), cached 1 (25%)" in section


def test_the_last_hour_s_failures_and_recoveries_lie_on_one_axis(site: Site, visitor: Visitor) -> None:
    row = {"id": "w-frail", "name": "frail@a", "bulkhead": "normal", "host": "a", "pid": 1, "concurrency": 1}
    site.app.ledger.workers.register({**row, "lease_ttl": 600.0, "lock_path": None})
    site.app.ledger.workers.change_state("w-frail", "failed", "no heartbeat")
    site.app.ledger.workers.register({**row, "id": "w-again", "lease_ttl": 600.0, "lock_path": None})
    crashed = running(site.app.ledger)
    site.app.ledger.jobs.settle(crashed, LOSE)
    site.app.ledger.jobs.settle(claimed(site.app.ledger, crashed.job_id), SUCCEED)
    site.app.ledger.add_up_counts(enough=0.0, full=False)
    site.app.breakers["axis"].force_open(reason="a drill", by="ann", lasts=60)
    try:
        section = visitor.see("/perdure/overview").split('id="happenings"')[1].split("</section>")[0]
        told = "\n".join(one["text"] for one in site.flower.get("/api/perdure/overview").json()["happenings"])
        crashes = "tests.add in normal crashed", "1 job in normal ran again after a crash"
        for text in ("frail@a failed: no heartbeat", "frail@a is back", *crashes, "a drill"):
            assert text in told
        for name in ("Workers", "Crashes", "Breakers"):
            assert 'rect x="' in section.split(f"<span>{name}</span>")[1].split("</svg>")[0]
    finally:
        site.app.breakers["axis"].reset(reason="done", by="ann")
        site.app.ledger.workers.change_state("w-again", "gone", "stopped")


def test_a_worker_that_was_outvoted_is_shown_with_how_often(site: Site, visitor: Visitor) -> None:
    row = {"id": "liar", "name": "liar@a", "bulkhead": "normal", "host": "a", "pid": 1, "concurrency": 1}
    site.app.ledger.workers.register({**row, "lease_ttl": 600.0, "lock_path": None})
    site.app.workers.outvoted("liar@a", "its answer in site.pay 1 is not the majority's")
    page = visitor.see("/perdure/workers")
    assert "outvoted 1 times" in page
    assert "its answer in site.pay 1" in page
    wait_until(lambda: 'perdure_worker_outvoted{worker="liar@a"} 1.0' in metrics_of(site), 30)
    assert 'perdure_worker_barred{worker="liar@a"} 0.0' in metrics_of(site)
    site.app.health(max_age=0)
    site.app.alerts.look(always=True)
    alerts = [one["text"] for one in site.flower.get("/api/perdure/overview").json()["alerts"]]
    assert any("liar@a was outvoted 1 times" in text for text in alerts)
    site.app.ledger.workers.change_state("liar", "gone", "stopped")


def test_tasks_are_shown_with_their_last_hour(site: Site, visitor: Visitor, die: Die) -> None:
    letter = site.app.dead_letters.get(die("o-1", task="site.refuse"))
    views = {one["name"]: one for one in site.flower.get("/api/perdure/tasks").json()["task_views"]}
    refuse = views["site.refuse"]
    assert refuse["failed"] >= 1
    assert 0 < refuse["p50"] <= refuse["p95"]
    assert refuse["last_error"]["job_id"] == letter.job_id
    assert views["site.nightly"]["last_error"] is None
    page = visitor.see("/perdure/tasks")
    assert page.index("site.refuse") < page.index("site.nightly")  # what fails most comes first
    assert "o-1 is refused" in page


def test_schedules_are_shown_with_their_next_runs_and_run_once(site: Site, visitor: Visitor) -> None:
    views = {one["name"]: one for one in site.flower.get("/api/perdure/schedules").json()["schedules"]}
    nightly, hourly = views["site.nightly"], views["site.nightly/hourly"]
    assert (nightly["when"], len(nightly["following"])) == ("cron 30 2 * * * (UTC)", 3)
    assert all("T02:30:00" in moment for moment in nightly["following"])
    assert (hourly["when"], hourly["kwargs"]) == ("every 3600 s, up to 5 s later", {"what": "cache"})
    assert "02:30:00" in visitor.see("/perdure/schedules")
    assert "It runs once now" in visitor.send("/perdure/schedules", action="trigger:site.nightly/hourly")
    [job] = site.app.jobs.list(task="site.nightly")
    assert (job.record.tags, job.record.kwargs) == ({"triggered_by": "perdure"}, {"what": "cache"})
    job.cancel()
    assert site.flower.post("/api/perdure/schedules/site.nightl/trigger", json={}).status_code == 404


def test_schedules_are_paused_and_resumed(site: Site, visitor: Visitor) -> None:
    send = partial(visitor.send, "/perdure/schedules")
    assert "pass until it is resumed" in send(action="pause:site.nightly/hourly", reason="the target is <down>")
    page = visitor.see("/perdure/schedules")
    assert "by perdure: the target is &lt;down&gt;" in page
    assert "resume:site.nightly/hourly" in page
    site.app.alerts.look(always=True)
    assert "schedule site.nightly/hourly is paused by perdure" in visitor.see("/perdure/overview")
    assert "runs again from its next tick on" in send(action="resume:site.nightly/hourly")
    assert "was not paused" in send(action="resume:site.nightly/hourly")
    site.app.alerts.look(always=True)
    assert "is paused by" not in visitor.see("/perdure/overview")


def test_a_backfill_counts_and_asks_first(site: Site, visitor: Visitor) -> None:
    asking = "/perdure/ask/backfill?of=site.nightly"
    assert "Submit" not in visitor.see(asking)  # it asks for the stretch of time first
    assert "is no moment" in visitor.see(f"{asking}&from=nonsense")
    assert "no tick can have been missed" in visitor.see(f"{asking}&from=2026-01-02&to=2026-01-01")
    assert visitor.client.get("/perdure/ask/backfill?of=nope").status_code == 404
    stretch = {"of": "site.nightly", "from": "2026-01-01", "to": "2026-01-04"}
    page = visitor.see("/perdure/ask/backfill?" + urlencode(stretch))
    assert "Submit 3 jobs?" in page
    assert "they may have run" in page
    assert "Submit 3 jobs?" in visitor.send("/perdure/schedules", action="backfill:site.nightly", **stretch)
    assert site.app.jobs.list(task="site.nightly", state="queued") == []
    said = visitor.send("/perdure/schedules", action="backfill", confirmed="yes", **stretch)
    assert "3 jobs of site.nightly submitted" in said
    again = visitor.see("/perdure/ask/backfill?" + urlencode(stretch))
    assert "Submit 0 jobs?" in again
    assert "3 have one" in again
    for job in site.app.jobs.list(task="site.nightly", state="queued"):
        job.cancel()


def test_a_job_s_page_and_its_letter_s_show_what_it_said(site: Site, visitor: Visitor, die: Die) -> None:
    letter_id = die()
    letter = site.app.dead_letters.get(letter_id)
    assert "It has said nothing by" in visitor.see(f"/perdure/jobs/{letter.job_id}")
    lines = (Said(0.0, "INFO", "charging <b>"), Said(1.0, "ERROR", "refused"))
    site.app.ledger.jobs.write_logs([Chunk(str(letter.job_id), letter.task, 1, 1, 1, lines, LogBounds())])
    for page in (f"/perdure/jobs/{letter.job_id}", f"/perdure/dead-letters/{letter_id}"):
        shown = visitor.see(page)
        assert "charging &lt;b&gt;" in shown
        assert shown.index("charging") < shown.index("refused")
    assert [line["text"] for line in site.flower.get(f"/api/perdure/jobs/{letter.job_id}").json()["log"]] == [
        "charging <b>",
        "refused",
    ]


def test_the_overview_tells_of_dead_letters_first(site: Site, visitor: Visitor, die: Die) -> None:
    before = site.flower.get("/api/perdure/overview").json()["letters"]
    die("o-1", task="site.refuse")
    after = site.flower.get("/api/perdure/overview").json()
    assert (after["letters"]["open"], after["letters"]["new"]) == (before["open"] + 1, before["new"] + 1)
    assert "new" in {one["growth"] for one in after["faults"] if one["group"]["task"] == "site.refuse"}
    page = visitor.see("/perdure/overview")
    assert page.index('id="letters"') < page.index('id="alerts"') < page.index('id="summary"')
    assert "Read its newest error." in page
    assert "perdure</title>" in page


def test_an_alert_has_its_time_is_told_once_and_is_gone_when_over(site: Site, visitor: Visitor) -> None:
    def alerts(about: str) -> list[dict[str, Any]]:
        site.app.alerts.look(always=True)
        return [one for one in site.flower.get("/api/perdure/overview").json()["alerts"] if about in one["text"]]

    site.app.breakers["site"].reset()
    assert alerts("breaker site") == []
    site.app.breakers["site"].force_open(reason="tests", by="ann", lasts=60)
    wait_until(lambda: alerts("breaker site"), 30)
    [alert] = alerts("site was forced open by ann")
    assert alert["since"] is not None
    site.app.breakers["site"].reset()
    wait_until(lambda: not alerts("breaker site"), 30)
    site.app.bulkheads.pause("background", by="ann", reason="deploy")
    [paused] = alerts("background")
    assert paused["since"] is not None
    assert "deploy" in paused["text"]
    visitor.send("/perdure/overview", action="resume:background")
    assert alerts("background is paused") == []


def test_alerts_are_shown_and_silenced(site: Site, visitor: Visitor) -> None:
    site.app.alerts.rule("hot", lambda: {"<oven>": 30.0}, above=20, todo="Open a window.")
    site.app.slo("paying", task="site.pay", target=0.99)
    site.app.alerts.look(always=True)
    page = visitor.see("/perdure/alerts")
    assert "hot of &lt;oven&gt; is 30" in page
    assert "Silence" in page
    silenced = visitor.send("/perdure/alerts", action="silence:bulkhead_unserved", seconds="60", reason="deploy")
    assert "Nobody is told of bulkhead_unserved for 60 s." in silenced
    [silence] = site.app.alerts.silences()
    assert (silence.reason, silence.rule) == ("deploy", "bulkhead_unserved")
    assert "What still fires is told." in visitor.send("/perdure/alerts", action=f"unsilence:{silence.id}")
    assert "hot" in {one["name"] for one in site.flower.get("/api/perdure/alerts").json()["alerts"]}
    site.app.alerts.rule("hot", lambda: 0.0, above=20)
    site.app.alerts.look(always=True)
    assert "hot" in {one["name"] for one in site.flower.get("/api/perdure/alerts").json()["history"]}


def test_workers_are_shown_with_their_leases(site: Site, visitor: Visitor) -> None:
    worker = Incarnation.new("shown", "normal", 3)
    row = {"id": worker.id, "name": worker.name, "bulkhead": "normal", "host": "far", "pid": 7, "concurrency": 3}
    site.app.ledger.workers.register({**row, "lease_ttl": 60.0, "lock_path": None})
    assert worker.name in visitor.see("/perdure/workers")
    site.app.ledger.workers.change_state(worker.id, "failed", "missed its heartbeats in a test")
    assert "missed its heartbeats in a test" in visitor.see("/perdure/workers")


def test_the_stream_tells_of_a_change(site: Site) -> None:
    job = site.app.task("site.pay").options(delay=3600).submit("streamed")
    with (
        httpx.Client(base_url=site.flower.url, auth=OPERATOR, timeout=60) as client,
        client.stream("GET", f"/perdure/stream/job?of={job.id}") as stream,
    ):
        updates = (json.loads(line[6:])[-1] for line in stream.iter_lines() if line.startswith("data: "))
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


def test_the_overview_shows_scores_the_worst_first(site: Site, visitor: Visitor) -> None:
    for _ in range(10):
        run_once(site.app, site.app.task("site.refuse").submit("o-1"))
    text = visitor.see("/perdure/overview")
    scores = text.split('id="scores-heading"')[1].split("</section>")[0]
    refused = scores.split("task site.refuse")[1].split("</li>")[0]
    assert float(re.findall(r">([\d.]+)<", refused)[0]) < 0.5
    values = [float(value) for value in re.findall(r">([\d]\.\d{3})<", scores)]
    assert values == sorted(values)
    assert "polyline" in refused, "what it was is plotted"
    views = {(one["kind"], one["name"]): one for one in site.flower.get("/api/perdure/overview").json()["scores"]}
    assert views["task", "site.refuse"]["by_minute"][-1] == views["task", "site.refuse"]["score"]

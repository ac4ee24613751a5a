"""Who may do what in Flower: every page and every write, without a password, as a viewer, as an operator, read-only."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest
from celery.events import EventDispatcher

from perdure_workers.flower.sign_in import MOST_FAILURES
from perdure_workers.flower.stream import MOST_OF_USER
from support.flower_site import OPERATOR, VIEWER, Site
from support.inline import run_once
from support.waiting import wait_until

pytestmark = pytest.mark.slow

#: The last two are no pages to look at.
PAGES = [
    "overview",
    "alerts",
    "jobs",
    "jobs/{job}",
    "dead-letters",
    "breakers",
    "workers",
    "tasks",
    "schedules",
    "stream/overview",
    "find?id=x",
]
APIS = ["overview", "jobs", "jobs/{job}", "dead-letters", "breakers", "workers", "tasks", "schedules"]
ASKING = ["ask/jobs", "ask/dead-letters?action=replay", "ask/dead-letters?action=discard"]
FORMS = [
    ("overview", {"action": "pause", "of": "normal"}),
    ("jobs/{job}", {"action": "cancel"}),
    ("jobs/{job}", {"action": "run-now"}),
    ("breakers", {"action": "open", "of": "site"}),
]
ACTIONS = [
    "jobs/{job}/cancel",
    "jobs/{job}/run-now",
    "dead-letters/none/replay",
    "dead-letters/none/discard",
    "dead-letters/none/note",
    "breakers/site/open",
    "breakers/site/closed",
    "breakers/site/reset",
    "bulkheads/normal/pause",
    "bulkheads/normal/resume",
    "schedules/site.nightly/trigger",
    "jobs/all/cancel",
    "jobs/all/cancel-selected",
    "jobs/{job}/retry",
    "dead-letters/all/replay",
    "dead-letters/all/discard",
    "dead-letters/all/undo-discard",
]
#: Writes of stock Flower.
STOCK = [
    "/api/worker/shutdown/normal@x",
    "/api/worker/pool/grow/normal@x",
    "/api/task/revoke/{job}",
    "/api/task/async-apply/site.pay",
    "/api/task/timeout/site.pay",
]


_addresses = itertools.count(1)


def from_elsewhere() -> dict[str, str]:
    """Return the header of a request from an address that no other test has: wrong passwords make an address wait."""
    number = next(_addresses)
    return {"X-Real-Ip": f"10.1.{number // 250}.{number % 250 + 1}"}


@pytest.fixture(scope="module")
def job(site: Site) -> str:
    return site.app.task("site.pay").options(delay=3600).submit("<script>alert(1)</script>", password="hunter-2").id


@pytest.mark.parametrize("path", [*(f"/perdure/{page}" for page in PAGES), *(f"/api/perdure/{api}" for api in APIS), "/"])
@pytest.mark.parametrize("auth", [None, ("perdure", "wrong"), ("vera", "secret, with comma")])
def test_nothing_is_shown_without_the_right_password(site: Site, job: str, path: str, auth: Any) -> None:
    answer = httpx.get(site.flower.url + path.format(job=job), auth=auth, verify=False, headers=from_elsewhere())
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", [f"/api/perdure/{action}" for action in ACTIONS] + STOCK)
def test_a_write_needs_a_password_and_an_operator(site: Site, job: str, path: str) -> None:
    path = path.format(job=job)
    assert site.flower.post(path, json={}, auth=None).status_code == 401
    refused = site.flower.post(path, json={}, auth=VIEWER)
    assert refused.status_code == 403
    assert "viewer" in refused.text
    assert site.app.jobs.get(job).state == "scheduled"


@pytest.mark.parametrize("path", [f"/api/perdure/{action}" for action in ACTIONS] + STOCK)
def test_a_viewer_stays_one_however_the_header_is_written(site: Site, job: str, path: str) -> None:
    encoded = base64.b64encode(":".join(VIEWER).encode()).decode()
    headers = {"Authorization": f"Basic\t{encoded}"}
    assert site.flower.post(path.format(job=job), json={}, auth=None, headers=headers).status_code in (401, 403)
    assert site.app.jobs.get(job).state == "scheduled"


@pytest.mark.parametrize(("page", "form"), FORMS)
def test_a_form_needs_a_password_an_operator_and_a_token(site: Site, job: str, page: str, form: dict[str, str]) -> None:
    path = f"/perdure/{page.format(job=job)}"
    assert site.flower.post(path, data=form, auth=None).status_code in (401, 403)
    assert site.flower.post(path, data=form, auth=VIEWER).status_code == 403
    assert site.flower.post(path, data=form).status_code == 403, "a form without a token was taken"
    assert site.flower.post(path, data=form, headers={"Cookie": "_xsrf=a"}).status_code == 403
    assert site.app.jobs.get(job).state == "scheduled"
    assert not site.app.bulkheads["normal"].counts.paused


def test_a_viewer_is_shown_no_form_that_writes(site: Site, job: str) -> None:
    for page in PAGES[:-2]:
        html = site.flower.get(f"/perdure/{page.format(job=job)}", auth=VIEWER).raise_for_status().text
        assert 'method="post"' not in html


@pytest.mark.parametrize("page", ASKING)
def test_a_viewer_is_not_asked_what_only_an_operator_may_do(site: Site, page: str) -> None:
    assert site.flower.get(f"/perdure/{page}", auth=None, headers=from_elsewhere()).status_code == 401
    assert site.flower.get(f"/perdure/{page}", auth=VIEWER).status_code == 403
    assert site.flower.get(f"/perdure/{page}").status_code == 200


def test_the_api_takes_json_alone_and_nothing_from_other_sites(site: Site) -> None:
    path = "/api/perdure/bulkheads/normal/pause"
    assert site.flower.post(path, data={"reason": "x"}).status_code == 415
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        assert site.flower.post(path, json={}, headers=headers).status_code == 403
    assert not site.app.bulkheads["normal"].counts.paused


def test_an_operator_s_writes_are_done(site: Site) -> None:
    site.flower.post("/api/perdure/bulkheads/normal/pause", json={"reason": "tests"}).raise_for_status()
    counts = site.app.bulkheads["normal"].counts
    assert (counts.paused, counts.paused_by, counts.reason) == (True, "perdure", "tests")
    site.flower.post("/api/perdure/bulkheads/normal/resume", json={}).raise_for_status()
    scheduled = site.app.task("site.pay").options(delay=3600).submit("later")
    with httpx.Client(base_url=site.flower.url, auth=OPERATOR) as browser:
        page = browser.get(f"/perdure/jobs/{scheduled.id}").text
        token = re.findall(r'name="_xsrf" value="([^"]+)"', page)[0]
        answer = browser.post(f"/perdure/jobs/{scheduled.id}", data={"_xsrf": token, "action": "cancel"})
        assert answer.status_code == 303
        assert "The job is cancelled." in browser.get(answer.headers["Location"]).text
    assert scheduled.state == "cancelled"


def test_what_people_wrote_stays_text_and_secrets_are_masked(site: Site, job: str) -> None:
    for path in (f"/perdure/jobs/{job}", "/perdure/jobs"):
        page = site.flower.get(path)
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text
        assert (
            "script-src" in page.headers["Content-Security-Policy"]
            or "default-src 'self'" in (page.headers["Content-Security-Policy"])
        )
    everything = "".join(site.flower.get(path).text for path in (f"/perdure/jobs/{job}", f"/api/perdure/jobs/{job}"))
    assert "hunter-2" not in everything
    assert "hunter-2" not in site.flower.log.read_text()
    assert OPERATOR[1] not in site.flower.log.read_text()


def test_errors_say_what_is_wrong(site: Site) -> None:
    assert site.flower.get("/perdure/jobs/none").status_code == 404
    assert "none" in site.flower.get("/api/perdure/jobs/none").json()["error"]
    assert site.flower.get("/api/perdure/jobs?state=wrong").status_code == 400
    assert site.flower.get("/perdure/jobs?tag=wrong").status_code == 400
    for since in ("x", "nan", "2026-13-01"):
        assert site.flower.get(f"/perdure/jobs?since={since}").status_code == 400
        assert site.flower.get(f"/perdure/dead-letters?until={since}").status_code == 400
    assert site.flower.get("/perdure/jobs?since=99999999999w&until=1970-01-01").status_code == 200
    assert site.flower.get("/perdure/dead-letters?since=99999999999w&until=0001-01-01").status_code == 200
    for misspelt in ("jobs?tsk=x", "dead-letters?tsk=x"):
        assert "'tsk'" in site.flower.get(f"/api/perdure/{misspelt}").json()["error"]
    for misspelt in ("jobs/all/cancel", "dead-letters/all/discard", "dead-letters/all/replay"):
        refused = site.flower.post(f"/api/perdure/{misspelt}", json={"tsk": "x"})  # nothing else would mean all
        assert (refused.status_code, "Did you mean 'task'?" in refused.text) == (400, True)
    assert site.flower.post("/api/perdure/breakers/site/open", json={"seconds": "nan"}).status_code == 400
    for action in ("open", "closed", "reset"):  # one of a misspelt name would guard nothing
        refused = site.flower.post(f"/api/perdure/breakers/sit/{action}", json={})
        assert (refused.status_code, "Did you mean 'site'?" in refused.text) == (400, True)
    assert "sit" not in site.app.breakers
    assert site.flower.post("/api/perdure/bulkheads/nope/pause", json={}).status_code == 404
    assert site.flower.post("/api/perdure/bulkheads/normal/explode", json={}).status_code == 404


def test_read_only_refuses_operators_as_well_and_a_prefix_is_kept(site: Site, job: str) -> None:
    with site.another("--read-only", "--url-prefix=/tools/flower", prefix="/tools/flower") as flower:
        for path in [f"/api/perdure/{action}" for action in ACTIONS] + STOCK:
            assert flower.post(path.format(job=job), json={}).status_code == 403
        for page in PAGES[:-2]:
            html = flower.get(f"/perdure/{page.format(job=job)}").raise_for_status().text
            assert 'method="post"' not in html
            links = re.findall(r'(?:href|src|action|data-stream)="(/[^"]*)"', html)
            assert links
            assert not [link for link in links if not link.startswith("/tools/flower/")]
        for asset in ("perdure.css", "perdure.js"):
            flower.get(f"/perdure/static/{asset}").raise_for_status()
        assert flower.get("").status_code in (200, 302, 404)
    assert site.app.jobs.get(job).state == "scheduled"


@pytest.mark.parametrize(
    "header",
    [
        "Basic \xff\xfe",
        "Basic",
        "Basic " + base64.b64encode("perdure:gr\xfc\xdfe".encode()).decode(),
        "Digest x",
        "B\xe4sic x",
    ],
)
@pytest.mark.parametrize("path", ["/perdure/overview", "/api/perdure/overview", "/tasks", "/api/tasks", "/"])
def test_a_header_of_odd_bytes_signs_nobody_in(site: Site, header: str, path: str) -> None:
    headers = {"Authorization": header.encode("latin-1"), **{k: v.encode() for k, v in from_elsewhere().items()}}
    raw = [(name.encode(), value) for name, value in headers.items()]
    assert httpx.get(site.flower.url + path, headers=raw).status_code == 401


def test_who_guesses_is_made_to_wait_and_a_known_browser_is_not(site: Site) -> None:
    address = from_elsewhere()
    with httpx.Client(base_url=site.flower.url, auth=OPERATOR, headers=address) as known:
        known.get("/perdure/overview").raise_for_status()
        for number in range(MOST_FAILURES):
            answer = httpx.get(f"{site.flower.url}/tasks", auth=("perdure", f"guess-{number}"), headers=address)
            assert answer.status_code == 401
        for password in ("guess", OPERATOR[1]):  # a right one is not told from a wrong one
            answer = httpx.get(f"{site.flower.url}/perdure/overview", auth=("perdure", password), headers=address)
            assert answer.status_code == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 60
        known.get("/perdure/overview").raise_for_status()
    elsewhere = httpx.get(f"{site.flower.url}/perdure/overview", auth=OPERATOR, headers=from_elsewhere())
    assert elsewhere.status_code == 200
    log = site.flower.log.read_text()
    assert f"sign-in of 'perdure' from {address['X-Real-Ip']} failed" in log
    assert "guess-0" not in log


def test_the_cookie_of_a_known_browser_alone_signs_nobody_in(site: Site) -> None:
    with httpx.Client(base_url=site.flower.url, headers=from_elsewhere()) as browser:
        browser.get("/perdure/overview", auth=OPERATOR).raise_for_status()
        assert browser.cookies.get("perdure_known")
        assert browser.get("/perdure/overview").status_code == 401


@pytest.mark.parametrize("path", ["/tasks", "/workers", "/broker", "/perdure/jobs", "/perdure/nothing", "/logout"])
def test_every_page_says_what_it_may_load(site: Site, path: str) -> None:
    policy = site.flower.get(path).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    scripts = next((part for part in policy.split("; ") if part.startswith("script-src")), "")
    assert "unsafe" not in scripts
    inline = re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", site.flower.get(path).text, re.DOTALL)
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


@pytest.mark.parametrize("forged", [{"timestamp": "soon"}, {"freq": "often"}, {"loadavg": 7}, {"active": {}}])
def test_a_forged_heartbeat_breaks_no_page(site: Site, forged: dict[str, Any]) -> None:
    """Sent again and again: Flower takes a moment until it listens, and one that is lost would break nothing."""
    host = f"{next(iter(forged))}@h"

    def is_heard() -> bool:
        with site.app.celery.connection_for_write() as connection:
            EventDispatcher(connection, app=site.app.celery, hostname=host).send("worker-heartbeat", **forged)
            honest = EventDispatcher(connection, app=site.app.celery, hostname=f"honest-{host}")
            honest.send("worker-heartbeat", freq=2.0, active=0, processed=0, loadavg=[0.1, 0.1, 0.1])
        return f'"honest-{host}"' in site.flower.get("/workers?json=1").raise_for_status().text

    wait_until(is_heard, 60)
    for path in ("/workers", "/workers?json=1", "/tasks", "/api/workers", "/metrics"):
        assert site.flower.get(path).status_code == 200, path
    assert f'"{host}"' not in site.flower.get("/workers?json=1").text
    assert "Failed to capture events" not in site.flower.log.read_text()


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_deep_json_is_refused(site: Site, depth: int) -> None:
    letter = dead_letter(site)
    deep = "[" * depth + "]" * depth
    api = f"/api/perdure/dead-letters/{letter}/replay"
    assert site.flower.post(api, json={"args": deep}).status_code == 400
    body = f'{{"args": {deep}}}'
    headers = {"Content-Type": "application/json"}
    assert site.flower.post(api, content=body, headers=headers).status_code == 400
    with httpx.Client(base_url=site.flower.url, auth=OPERATOR) as browser:
        page = browser.get(f"/perdure/dead-letters/{letter}").text
        token = re.findall(r'name="_xsrf" value="([^"]+)"', page)[0]
        form = {"_xsrf": token, "action": "replay", "args": deep, "kwargs": "{}"}
        assert browser.post(f"/perdure/dead-letters/{letter}", data=form).status_code == 400


@pytest.mark.parametrize("number", ["1e308", "1e400", "-1", "nan", "infinity"])
def test_numbers_that_mean_nothing_are_refused(site: Site, number: str) -> None:
    assert site.flower.post("/api/perdure/breakers/site/open", json={"seconds": number}).status_code == 400
    for name in ("canary", "max_failure_rate"):
        answer = site.flower.post("/api/perdure/dead-letters/all/replay", json={name: number, "dry_run": True})
        assert answer.status_code == 400
        assert site.flower.get(f"/perdure/ask/dead-letters?action=replay&{name}={number}").status_code == 400
    assert site.app.breakers["site"].state == "closed"


def test_streams_of_one_user_are_bounded_and_closed_ones_make_room(site: Site) -> None:
    def opened(stack: ExitStack) -> int:
        client = stack.enter_context(httpx.Client(base_url=site.flower.url, auth=VIEWER, timeout=60))
        stream = stack.enter_context(client.stream("GET", "/perdure/stream/workers"))
        if stream.status_code == 200:
            lines: Any = stream.iter_lines()
            next(stack.enter_context(closing(lines)))
        return int(stream.status_code)

    with ExitStack() as stack:
        assert [opened(stack) for _ in range(MOST_OF_USER + 1)] == [200] * MOST_OF_USER + [503]
        with ExitStack() as other:
            client = other.enter_context(httpx.Client(base_url=site.flower.url, auth=OPERATOR, timeout=60))
            assert other.enter_context(client.stream("GET", "/perdure/stream/workers")).status_code == 200

    def has_room() -> bool:
        with ExitStack() as again:
            return opened(again) == 200

    wait_until(has_room, 30)


def dead_letter(site: Site) -> str:
    site.app.breakers["site"].reset()
    job = site.app.task("site.divide").submit(1, 0)
    assert run_once(site.app, job) == "dead"
    return str(job.refresh().record.dead_letter_id)

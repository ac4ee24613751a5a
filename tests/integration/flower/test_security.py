"""Who may do what in Flower: every page and every write, without a password, as a viewer, as an operator, read-only."""

from __future__ import annotations

import base64
import re
from typing import Any

import httpx
import pytest

from support.flower_site import OPERATOR, VIEWER, Site

PAGES = ["overview", "jobs", "jobs/{job}", "dead-letters", "breakers", "workers", "stream/overview", "find?id=x"]
APIS = ["overview", "jobs", "jobs/{job}", "dead-letters", "breakers", "workers"]
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
]
#: Writes of stock Flower.
STOCK = [
    "/api/worker/shutdown/normal@x",
    "/api/worker/pool/grow/normal@x",
    "/api/task/revoke/{job}",
    "/api/task/async-apply/site.pay",
    "/api/task/timeout/site.pay",
]


@pytest.fixture(scope="module")
def job(site: Site) -> str:
    return site.app.task("site.pay").options(delay=3600).submit("<script>alert(1)</script>", password="hunter-2").id


@pytest.mark.parametrize("path", [*(f"/perdure/{page}" for page in PAGES), *(f"/api/perdure/{api}" for api in APIS), "/"])
@pytest.mark.parametrize("auth", [None, ("perdure", "wrong"), ("vera", "secret, with comma")])
def test_nothing_is_shown_without_the_right_password(site: Site, job: str, path: str, auth: Any) -> None:
    answer = httpx.get(site.flower.url + path.format(job=job), auth=auth, verify=False)
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
    for hours in ("x", "nan"):
        assert site.flower.get(f"/perdure/jobs?hours={hours}").status_code == 400
    assert site.flower.get("/perdure/jobs?hours=1e12").status_code == 200
    assert site.flower.post("/api/perdure/breakers/site/open", json={"seconds": "nan"}).status_code == 400
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

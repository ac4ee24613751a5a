"""Flower's pages in a real Chromium, with a real worker: what somebody does who watches jobs and repairs them.

Without a Chromium, and where none can be installed, these tests are skipped, which continuous integration does not allow
(see :mod:`support.chromium`); what they see without scripts is tested without a browser as well (``test_pages.py``).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from perdure.model.metrics import FALLBACK, SERVICE_CALLS, Count
from support.chromium import NoChromium, is_required, launch
from support.cluster import PERDURE
from support.flower_site import OPERATOR, Site
from support.ledgers import LOSE, SUCCEED, running
from support.waiting import wait_until

#: The first test may have to install the browser.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

#: Milliseconds until something must be seen.
PATIENCE = 60_000
PATHS = [
    "overview",
    "alerts",
    "jobs",
    "dead-letters",
    "breakers",
    "workers",
    "tasks",
    "schedules",
    "jobs/{job}",
    "dead-letters/{letter}",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        try:
            started = launch(playwright)
        except NoChromium as error:
            if is_required():
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield started
        started.close()


@pytest.fixture(scope="module")
def worker(site: Site) -> Iterator[None]:
    command = [str(PERDURE), "-A", "flower_site", "worker", "normal", "-c", "2"]
    with (site.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=site.folder, env={**os.environ, **site.environment}, stdout=log, stderr=log)
    wait_until(lambda: site.app.workers.list(), 60)
    yield
    process.terminate()
    process.wait(60)


def signed_in(browser: Browser, user: tuple[str, str], **options: object) -> BrowserContext:
    context = browser.new_context(http_credentials={"username": user[0], "password": user[1]}, **options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    return context


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = signed_in(browser, OPERATOR)
    opened = context.new_page()
    yield opened
    context.close()


@pytest.fixture(scope="module")
def letter(site: Site, worker: None) -> str:
    job = site.app.task("site.divide").submit(1, 0)
    wait_until(lambda: job.state == "dead", 60)
    return str(job.refresh().record.dead_letter_id)


@pytest.mark.usefixtures("worker")
def test_a_job_runs_and_retries_before_one_s_eyes(site: Site, page: Page) -> None:
    job = site.app.task("site.flaky").options(delay=3600).submit(1)
    page.goto(f"{site.flower.url}/perdure/jobs/{job.id}")
    state = page.locator("#job-state")
    expect(state).to_have_text("scheduled")
    assert site.app.jobs.run_now(job.id)
    expect(state).to_have_text("retrying")
    expect(page.locator("#attempts")).to_contain_text("not yet")
    assert site.app.jobs.run_now(job.id)
    expect(state).to_have_text("succeeded")  # and the page was never loaded again
    assert job.wait(1) == 2


@pytest.mark.usefixtures("worker")
def test_a_dead_letter_is_edited_replayed_and_seen_to_succeed(site: Site, page: Page, letter: str) -> None:
    page.goto(f"{site.flower.url}/perdure/dead-letters")
    page.locator(f'a[title="{letter}"]').click()
    expect(page.locator(".perdure-error")).to_contain_text("division by zero")
    page.get_by_label("Positional arguments").fill("[8, 2]")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status").first).to_contain_text("Replayed as this job.")
    expect(page.locator("#job-state")).to_have_text("succeeded")
    expect(page.locator("#result")).to_contain_text("4.0")
    expect(page.locator("#lineage")).to_contain_text("replay of")


def test_a_breaker_is_forced_open(site: Site, page: Page) -> None:
    breaker = site.app.breakers["site"]
    breaker.call(lambda: None)
    page.goto(f"{site.flower.url}/perdure/breakers")
    page.get_by_label("Force for seconds").fill("30")
    page.get_by_label("Reason").fill("tried in a browser")
    card = page.locator("#breaker-site")
    card.get_by_role("button", name="Force open").click()
    expect(card).to_contain_text("open")
    expect(card).to_contain_text("tried in a browser")
    expect(card).to_contain_text("Jobs behind it")
    card.get_by_role("button", name="Reset").click()
    wait_until(lambda: breaker.state == "closed", 30)


def test_what_befell_the_platform_is_seen(site: Site, page: Page) -> None:
    app = site.app
    app.failover["mail"].promote("us", reason="eu moves house", by="ann")
    app.groups["stock"].promote("us", reason="eu is sold", by="ann")
    app.breakers["mail"].call(lambda: None)
    calls = [Count(SERVICE_CALLS.name, ("mail", "ok"), 15), Count(SERVICE_CALLS.name, ("mail", "degraded"), 5)]
    app.ledger.count([*calls, Count(FALLBACK.name, ("mail", "cached"), 5)])
    app.ledger.jobs.settle(running(app.ledger, task="site.crash"), LOSE)
    app.ledger.jobs.settle(running(app.ledger, task="site.crash"), SUCCEED)
    app.ledger.add_up_counts(enough=0.0, full=False)
    app.bulkheads.pause("background", by="ann", reason="a drill")
    app.alerts.look(always=True)

    page.goto(f"{site.flower.url}/perdure/breakers")
    for part, text in {"services": "cached 5", "failover-mail": "eu moves house", "group-stock": "eu is sold"}.items():
        expect(page.locator(f"#{part}")).to_contain_text(text)
    page.goto(f"{site.flower.url}/perdure/alerts")
    expect(page.locator("#alerts")).to_contain_text("background is paused by ann: a drill")
    expect(page.locator("#slos")).to_contain_text("paying")

    page.goto(f"{site.flower.url}/perdure/overview")
    for row in ("Crashes", "Failovers", "Alerts"):
        marks = page.locator(f"#happenings span:text-is('{row}') + svg rect")
        expect(marks.first).to_be_visible()
    expect(page.locator("#happenings")).to_contain_text("attempt of site.crash in normal crashed")
    history = page.locator("#others li", has_text="service mail").locator("polyline")
    points = (history.get_attribute("points") or "").split()
    assert len(points) == 60, "one for each minute"
    assert points[-1] != points[0], "it was worse lately"
    expect(page.locator("#others li", has_text="bulkhead normal").locator("polyline")).to_have_count(1)
    normal = page.locator("#bulkheads article", has=page.locator("h2", has_text="normal"))
    expect(normal).to_contain_text("95 % within")
    app.bulkheads.resume("background")


def test_a_page_whose_server_is_silent_says_so(browser: Browser, site: Site) -> None:
    with site.another() as flower:
        context = signed_in(browser, OPERATOR)
        page = context.new_page()
        page.goto(f"{flower.url}/perdure/overview")
        as_of, stale = page.locator(".perdure-updated time"), page.locator(".perdure-stale")
        shown = as_of.text_content() or ""
        expect(as_of).not_to_have_text(shown)  # it hears from the server each second
        expect(stale).to_be_hidden()
        flower.process.send_signal(signal.SIGSTOP)  # frozen: nothing is closed, nothing is said
        try:
            expect(stale).to_be_visible()
            expect(page.locator(".perdure-is-stale")).to_have_count(1)
        finally:
            flower.process.send_signal(signal.SIGCONT)
        expect(stale).to_be_hidden()
        context.close()


def test_ticked_letters_stay_ticked_while_the_page_updates_and_a_discard_is_undone(
    site: Site, page: Page, letter: str
) -> None:
    job = site.app.task("site.divide").submit(2, 0)
    wait_until(lambda: job.state == "dead", 60)
    mine = str(job.refresh().record.dead_letter_id)
    page.goto(f"{site.flower.url}/perdure/dead-letters?task=site.divide")
    box = page.locator(f'input[value="{mine}"]')
    ticked = page.locator('input[name="id"]:checked')
    for checked, count in ((True, page.locator('input[name="id"]').count()), (False, 0)):
        page.get_by_label("Tick all shown").set_checked(checked)
        expect(ticked).to_have_count(count)
    box.check()
    other = site.app.task("site.divide").submit(3, 0)
    wait_until(lambda: other.state == "dead", 60)
    as_of = page.locator(".perdure-updated time")
    expect(as_of).not_to_have_text(as_of.text_content() or "")
    expect(box).to_be_checked()
    page.get_by_label("Reason to discard").fill("tried in a browser")
    page.get_by_role("button", name="Discard ticked").click()
    expect(page.get_by_role("status").first).to_contain_text("1 discarded")
    assert site.app.dead_letters.get(mine).status == "discarded"
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").first).to_contain_text("1 letter put back")
    assert site.app.dead_letters.get(mine).status == "open"


@pytest.mark.usefixtures("worker")
def test_a_log_that_somebody_reads_stays_where_he_is(site: Site, page: Page) -> None:
    job = site.app.task("site.talk").submit(100)
    page.goto(f"{site.flower.url}/perdure/jobs/{job.id}")
    log = page.locator(".perdure-log")
    expect(log).to_contain_text("line 60")
    log.evaluate("e => { e.scrollTop = -e.scrollHeight / 2 }")
    top = "e => e.scrollHeight + e.scrollTop"
    before, height = log.evaluate(top), log.evaluate("e => e.scrollHeight")
    try:
        wait_until(lambda: log.evaluate("e => e.scrollHeight") > height, 60)  # it was brought up to date
        assert abs(log.evaluate(top) - before) <= 2
    finally:
        job.cancel()


def test_nothing_is_clipped(browser: Browser, site: Site, letter: str) -> None:
    context = signed_in(browser, OPERATOR)
    page = context.new_page()
    job = site.app.dead_letters.get(letter).job_id
    long = site.app.task("site.refuse").options(tags={"tenant": "a" * 60}).submit("x" * 300)
    name = site.app.task(next(name for name in site.app.tasks if "long_name" in name)).submit("é")
    wait_until(lambda: long.state == name.state == "dead", 60)
    fits = "document.documentElement.scrollWidth <= window.innerWidth + 1"
    for path in PATHS:
        page.goto(f"{site.flower.url}/perdure/{path.format(job=job, letter=letter)}")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            at = (path, width)
            assert page.evaluate(fits), at
            clipped = "[...document.querySelectorAll('.perdure-scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
            assert page.evaluate(f"{clipped}.map(e => e.id)") == [], at
            sticks_out = (
                "[...document.querySelectorAll('.perdure-facts dd')].filter(e => e.scrollWidth > e.clientWidth + 1)"
            )
            assert page.evaluate(f"{sticks_out}.map(e => e.textContent)") == [], at
            lines = "[...document.querySelectorAll('.perdure-line, .perdure-badge')].map(e => e.getClientRects().length)"
            assert set(page.evaluate(lines)) <= {0, 1}, at
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate(fits), path
    context.close()


def test_pages_can_be_read_without_scripts(browser: Browser, site: Site, letter: str) -> None:
    context = signed_in(browser, OPERATOR, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.flower.url}/perdure/dead-letters/{letter}")
    expect(page.locator(".perdure-error")).to_contain_text("division by zero")
    page.goto(f"{site.flower.url}/perdure/overview")
    expect(page.locator("main")).to_contain_text("background")
    context.close()


def test_axe_finds_no_serious_fault(browser: Browser, site: Site, letter: str) -> None:
    context = signed_in(browser, OPERATOR, reduced_motion="reduce")  # colours change at once
    page = context.new_page()
    job = site.app.dead_letters.get(letter).job_id
    for path in PATHS:
        page.emulate_media(color_scheme="light")
        page.goto(f"{site.flower.url}/perdure/{path.format(job=job, letter=letter)}")
        assert page.locator("h1").count() == 1, path
        assert serious_faults(page) == [], path
        page.emulate_media(color_scheme="dark")  # the same page in other colours
        assert serious_faults(page, runOnly=["color-contrast"]) == [], path
    context.close()


def serious_faults(page: Page, **options: object) -> list[tuple[str, str]]:
    """Return the rule and the place of each fault that keeps somebody from using a page."""
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [(each["id"], each["nodes"][0]["html"][:200]) for each in found if each["impact"] in ("serious", "critical")]

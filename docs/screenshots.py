"""Make the documentation's pictures of Flower's pages: ``python docs/screenshots.py [FOLDER]`` (default docs/pictures).

Runs the platform on embedded servers with a shop's jobs (``pictures/shop.py``), and looks at it with Chromium.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "pictures"))

SIZE: ViewportSize = {"width": 1280, "height": 900}
USER = ("perdure", "pictures")
#: Texts that no picture may show: a path of this machine, but for where the shop says that it is.
PATHS = re.compile(r"(?<![\w/])/(?!srv/shop/|perdure/|static/)(?:[\w.-]+/)+[\w.-]+")


def main(folder: Path) -> None:
    """Write a picture of each page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="perdure-pictures-") as home:
        environment = {"PERDURE_HOME": f"{home}/home", "PERDURE_FLOWER_PASSWORD": USER[1]}
        os.environ.update(environment)
        up = [sys.executable, "-m", "perdure_workers", "-A", "shop", "up"]
        sources = sys.path[0]
        process = subprocess.Popen(  # noqa: S603 - this project's own command
            up, env={**os.environ, "PYTHONPATH": sources}, stdout=subprocess.DEVNULL
        )
        try:
            take(folder)
        finally:
            process.terminate()
            process.wait(60)


def take(folder: Path) -> None:
    """Wait for the platform, let jobs run, and take the pictures."""
    from shop import app  # type: ignore[attr-defined]

    from perdure.errors import PerdureError
    from perdure_workers.up.status import read_status
    from support.chromium import launch
    from support.waiting import wait_until

    def workers_are_there() -> bool:
        with suppress(PerdureError):  # until the ledger is made
            return len(app.workers.list()) >= 3
        return False

    wait_until(workers_are_there, 60)
    jobs = [app.task("shop.charge").submit(f"o-{n}", 500 + 137 * n % 7_000) for n in range(60)]
    jobs += [app.task("shop.mail").submit(f"o-{n}") for n in range(40)]
    died = [app.task("shop.charge").submit(f"o-{n}", 9_100 + n) for n in range(60, 64)]
    importing = app.task("shop.import").submit(30_000)
    wait_until(lambda: all(job.state.is_final for job in [*jobs, *died]), 120)
    wait_until(lambda: importing.progress is not None, 60)
    app.bulkheads.pause("normal", by="ann", reason="the mail server is moved")
    wait_until(lambda: {"bulkhead_paused", "dead_letter_group_new"} <= {alert.rule for alert in app.alerts.open()}, 60)
    letter = died[0].refresh().record.dead_letter_id
    pages = {
        "job": f"jobs/{importing.id}",
        "overview": "overview",
        "alerts": "alerts",
        "dead-letters": "dead-letters?status=open",
        "dead-letter": f"dead-letters/{letter}",
        "tasks": "tasks",
        "schedules": "schedules",
        "breakers": "breakers",
    }
    status = read_status(app.settings.home_folder.path)
    assert status is not None
    url = str(status["flower_url"]).rstrip("/")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        context = browser.new_context(http_credentials={"username": USER[0], "password": USER[1]}, viewport=SIZE)
        page = context.new_page()
        for name, path in pages.items():
            answer = page.goto(f"{url}/perdure/{path}")
            assert answer is not None
            assert answer.ok, f"{path}: {answer.status}"
            assert_no_path(page, name)
            page.screenshot(path=folder / f"{name}.png")
            print(folder / f"{name}.png")
        browser.close()
    app.close()


def assert_no_path(page: Page, name: str) -> None:
    """Take no picture that shows where something is on this machine."""
    found = PATHS.findall(page.locator("body").inner_text())
    assert not found, f"{name} shows {found}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")

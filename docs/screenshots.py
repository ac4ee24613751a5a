"""Make the documentation's pictures of Flower's pages: ``python docs/screenshots.py [FOLDER]`` (default docs/pictures).

Runs the platform on embedded servers with a few jobs, and looks at it with Chromium.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "integration" / "flower")]

SIZE = {"width": 1280, "height": 900}
USER = ("perdure", "pictures")


def main(folder: Path) -> None:
    """Write a picture of each page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="perdure-pictures-") as home:
        environment = {"PERDURE_HOME": f"{home}/home", "PERDURE_FLOWER_PASSWORD": USER[1]}
        os.environ.update(environment)
        up = [sys.executable, "-m", "perdure_workers", "-A", "flower_site", "up"]
        sources = os.pathsep.join(sys.path[:2])
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
    from flower_site import app

    from perdure_workers.up.status import read_status
    from support.chromium import launch
    from support.waiting import wait_until

    wait_until(lambda: len(app.workers.list()) >= 3, 60)
    jobs = [app.task("site.steps").submit(f"o-{n}") for n in range(30)]
    died = [app.task("site.divide").submit(n, 0) for n in range(4)]
    app.task("site.flaky").submit(2)
    wait_until(lambda: all(job.state.is_final for job in [*jobs, *died]), 60)
    letter = died[0].refresh().record.dead_letter_id
    pages = {
        "overview": "overview",
        "jobs": "jobs",
        "job": f"jobs/{jobs[0].id}",
        "dead-letters": "dead-letters",
        "dead-letter": f"dead-letters/{letter}",
        "breakers": "breakers",
        "workers": "workers",
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
            page.screenshot(path=folder / f"{name}.png")
            print(folder / f"{name}.png")
        browser.close()
    app.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")

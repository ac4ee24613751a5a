"""Call the adopted task in both of Celery's ways, and see that the task which was not adopted still runs in Celery."""

from __future__ import annotations

import time
from pathlib import Path

from callers import checkout, checkout_later

for job in (checkout("o-1", 100), checkout_later("o-2", 200)):
    job.wait(60)
deadline = time.monotonic() + 60
while not (Path("o-1.png").exists() and Path("o-2.png").exists()):
    assert time.monotonic() < deadline, "no Celery worker has made the pictures"
    time.sleep(0.05)
assert sorted(line.split()[:2] for line in Path("charged").read_text().splitlines()) == [["o-1", "100"], ["o-2", "200"]]
print("two orders charged by perdure, two pictures made by Celery")

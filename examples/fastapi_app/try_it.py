"""Order twice under one key, and see one job that succeeds: ``python try_it.py http://127.0.0.1:8000``."""

from __future__ import annotations

import sys
import time

import httpx

with httpx.Client(base_url=sys.argv[1], trust_env=False, timeout=30) as client:
    order = {"id": "o-1", "cents": 4200}
    answers = [client.post("/orders", json=order, headers={"Idempotency-Key": "click-1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202], answers
    [job] = {answer.json()["job"] for answer in answers}
    while (seen := client.get(f"/jobs/{job}").json())["state"] != "succeeded":
        time.sleep(0.05)
    assert seen["result"] == {"o-1": 4200}, seen
    other = client.post("/orders", json=order | {"cents": 1}, headers={"Idempotency-Key": "click-1"})
    assert other.status_code == 409, other
    assert client.get("/jobs/nobody").status_code == 404
    assert client.get("/healthz").json()["status"] == "healthy"
print("one job for two clicks, and it succeeded")

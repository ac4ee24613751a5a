"""A second click, a bank that is away for a while, and goods that are sold out."""

from __future__ import annotations

import time

import services
from orders import app, place

from perdure import JobDead

first = place.options(idempotency_key="o-0").submit("o-0", 100, "pears")
assert place.options(idempotency_key="o-0").submit("o-0", 100, "pears").id == first.id
print(first.wait(60))

services.AWAY.touch()
waiting = [place.options(idempotency_key=f"o-{n}").submit(f"o-{n}", 100, "pears") for n in range(1, 9)]
while app.breakers["bank"].state != "open":
    time.sleep(0.05)
print("the bank is away, its breaker is open")
services.AWAY.unlink()
print(*[job.wait(60) for job in waiting], sep="\n")

try:
    place.submit("o-9", 100, "plums").wait(60)
except JobDead as dead:
    print(dead)

assert services.balance() == (10, 900), services.balance()
print("10 charges, one of them refunded")

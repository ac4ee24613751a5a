"""Order twice, as a double click does, and see one job that charges the order once."""

from __future__ import annotations

import worker
from django.core.management import call_command
from django.test import Client
from shop.models import Order

call_command("migrate", verbosity=0)
answers = [Client().post("/orders", {"number": "o-1", "cents": "4200"}) for _ in range(2)]
assert [answer.status_code for answer in answers] == [202, 202], answers
[job] = {answer.json()["job"] for answer in answers}
assert worker.app.jobs.get(job).wait(60) is True
assert Order.objects.get(number="o-1").paid
print("one job for two clicks, and the order is paid")

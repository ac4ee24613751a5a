"""Flower's own Broker tab, telling the truth: jobs wait in the ledger, and the broker's queues hold bells."""

from __future__ import annotations

from typing import Any

from flower.views import BaseHandler
from tornado import web
from tornado.ioloop import IOLoop

from perdure import Perdure
from perdure.model.text.masked_url import masked_url


class BrokerTab(BaseHandler):  # type: ignore[misc]
    """Shows for each bulkhead what waits, what runs and how many places its workers have."""

    @web.authenticated
    async def get(self) -> None:
        """Render Flower's template with the ledger's numbers."""
        app: Perdure = self.application.perdure
        rows = await IOLoop.current().run_in_executor(self.application.facts_pool, depths, app)
        self.render("broker.html", broker_url=masked_url(app.settings.effective_broker_url), queues=rows)


def depths(app: Perdure) -> list[dict[str, Any]]:
    """Return a row for each bulkhead, in the words of Flower's template."""
    slots: dict[str, int] = {}
    for worker in app.workers.list():
        if not worker.draining:
            slots[worker.bulkhead] = slots.get(worker.bulkhead, 0) + worker.concurrency
    return [
        {
            "name": bulkhead.queue,
            "messages": bulkhead.counts.queued + bulkhead.counts.running,
            "messages_unacknowledged": bulkhead.counts.running,
            "messages_ready": bulkhead.counts.queued,
            "consumers": slots.get(bulkhead.name, 0),
        }
        for bulkhead in app.bulkheads.list()
    ]

"""The demo's application: the ready-made tasks, with retries short enough to watch."""

from __future__ import annotations

from typing import Any

import perdure_tasks
from perdure import Perdure, RetryPolicy

#: Seven tries within a few seconds: the receiver of the demo refuses a delivery at most twice, or always.
WEBHOOK_RETRY = RetryPolicy(max_retries=6, base=0.2, max_delay=1.0)


def demo_app(**settings: Any) -> Perdure:
    """Return the application; the settings are those of :class:`~perdure.Perdure`."""
    app = Perdure(**settings)
    perdure_tasks.register(app, retries={"webhooks.deliver": WEBHOOK_RETRY})
    return app

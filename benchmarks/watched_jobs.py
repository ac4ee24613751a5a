"""The application of ``benchmarks/watching.py``: a job that says one line and does nothing else."""

from __future__ import annotations

import json
import os
from typing import Any

from perdure import JobContext, Perdure


def build(alerts: str = "{}", **settings: Any) -> Perdure:
    """Return the application; ``alerts`` is JSON, as in an environment variable."""
    app = Perdure(alerts=json.loads(alerts), **settings)

    @app.job(name="say")
    def say(ctx: JobContext, number: int) -> int:
        ctx.log.info("number %d", number)
        return number

    return app


if "CHAOS_FOLDER" in os.environ:  # in the platform's own processes
    app = build()

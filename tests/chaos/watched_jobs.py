"""An application that tells Sentry, whose transport writes to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from perdure import Perdure, RetryPolicy

FILE = Path(os.environ.get("CHAOS_FOLDER", ".")) / "sentry"


class ToFile(Transport):
    """Appends each event to a file."""

    def capture_envelope(self, envelope: Envelope) -> None:
        with FILE.open("a") as file:
            file.writelines(json.dumps(item.payload.json) + "\n" for item in envelope.items if item.type == "event")


def build(**settings: Any) -> Perdure:
    """Return the application."""
    app = Perdure(**settings)

    @app.job(name="divide", retry=RetryPolicy(max_retries=1, base=0.01))
    def divide(by: int) -> float:
        return 1 / by

    return app


if "CHAOS_FOLDER" in os.environ:  # in the platform's own processes
    sentry_sdk.init(dsn="https://key@127.0.0.1/1", transport=ToFile())
    app = build()

"""Ready-made tasks: deliver a webhook, import a CSV file, archive a tree. All are idempotent and resume after a crash."""

from __future__ import annotations

from collections.abc import Mapping

from perdure import Perdure, RetryPolicy
from perdure_tasks import files, tables, webhooks
from perdure_tasks.files import archive
from perdure_tasks.signatures import verify
from perdure_tasks.tables import import_csv
from perdure_tasks.webhooks import deliver

__all__ = ["archive", "deliver", "import_csv", "register", "verify"]


def register(app: Perdure, *, retries: Mapping[str, str | RetryPolicy] | None = None) -> None:
    """Add the ready-made tasks to an application: ``webhooks.deliver``, ``tables.import_csv`` and ``files.archive``.

    Args:
        app: The application.
        retries: Retry policies by task name, in place of the tasks' own.
    """
    chosen = retries or {}
    for module, function in ((webhooks, deliver), (tables, import_csv), (files, archive)):
        app.job(
            name=module.NAME,
            bulkhead=module.BULKHEAD,
            retry=chosen.get(module.NAME, module.RETRY),
            timeout=module.JOB_TIMEOUT_S,
        )(function)

"""Deleting the checkpoints of jobs that are forgotten, where these are kept elsewhere than in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from perdure import Perdure
from perdure.model.storage_errors import StoreError

logger = logging.getLogger("perdure.maintenance")


def forget_checkpoints(app: Perdure, job_ids: Iterable[str]) -> None:
    """Delete the checkpoints of jobs; what cannot be deleted is logged and stays."""
    if app.storage.in_ledger:
        return
    for job_id in job_ids:
        try:
            app.storage.store.delete(job_id)
        except StoreError as error:
            logger.warning("checkpoints of %s stay until `perdure checkpoints repair`: %s", job_id, error)

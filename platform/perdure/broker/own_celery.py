"""A Celery application that listens to perdure's settings alone."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.app.utils import Settings as Configuration

LOADER = "celery.loaders.app:AppLoader"


class OwnCelery(Celery):
    """A Celery application whose broker is the one that perdure's settings name.

    Celery lets ``CELERY_BROKER_URL`` and its kin in the environment win over what an application says: variables of another
    application in the same container, as a rule. Submitters and workers would ring and listen at different brokers.
    """

    def __init__(self, name: str, **options: Any) -> None:
        # A source that is not empty: without one, Celery loads the module that CELERY_CONFIG_MODULE names.
        options |= {"loader": LOADER, "backend": "disabled://", "config_source": {"enable_utc": True}}
        super().__init__(name, **options)
        # Celery makes it here and fills it in place later. A plain assignment would make a setting of it.
        object.__setattr__(self.conf, "__class__", OwnConfiguration)


class OwnConfiguration(Configuration):
    """Celery's configuration without what it reads from the environment."""

    @property
    def broker_url(self) -> Any:
        """The broker's URL."""
        return self.first("broker_url", "broker_host")

    @property
    def broker_read_url(self) -> Any:
        """The broker's URL for workers."""
        return self.broker_url

    @property
    def broker_write_url(self) -> Any:
        """The broker's URL for submitters."""
        return self.broker_url

    @property
    def result_backend(self) -> Any:
        """The result backend: none, results are in the ledger."""
        return self.first("result_backend", "CELERY_RESULT_BACKEND")

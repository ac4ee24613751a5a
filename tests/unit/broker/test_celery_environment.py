"""Celery's own variables, meant for other applications, do not reach perdure's Celery application."""

from __future__ import annotations

import os

import pytest

from perdure import Perdure

ELSEWHERE = "redis://elsewhere.invalid:6379/0"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Perdure:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        monkeypatch.setenv(name, ELSEWHERE)
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "django-db")
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "no_such_configuration")
    monkeypatch.setenv("CELERY_LOADER", "no.such:Loader")
    return Perdure(broker_url="redis://here.invalid:7000/3")


def test_the_broker_is_that_of_the_settings_before_and_after_the_configuration_is_read(app: Perdure) -> None:
    for _ in range(2):
        assert app.celery.conf.broker_url == "redis://here.invalid:7000/3"
        assert app.celery.conf.broker_read_url == app.celery.conf.broker_write_url == "redis://here.invalid:7000/3"
        _ = app.celery.conf["task_default_queue"]
    for connection in (app.celery.connection_for_read(), app.celery.connection_for_write(), app.celery.connection()):
        assert (connection.hostname, connection.port, connection.virtual_host) == ("here.invalid", 7000, "3")
    assert app.celery.conf.task_default_queue == "perdure.normal"


def test_no_result_backend_is_loaded(app: Perdure) -> None:
    assert app.celery.conf.result_backend == "disabled://"
    assert type(app.celery.backend).__name__ == "DisabledBackend"


def test_the_environment_itself_is_left_alone(app: Perdure) -> None:
    _ = app.celery.conf.broker_url
    assert os.environ["CELERY_BROKER_URL"] == ELSEWHERE

"""One Flower for all tests of its pages, on a ledger with a few jobs and no worker."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure import Perdure
from perdure_workers.embedded.redis import RedisServer
from support.cluster import PERDURE
from support.flower_site import OPERATOR, Site
from support.flowers import flower_process

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "flower_site.py").write_text((HERE / "flower_site.py").read_text())
    with RedisServer(folder / "redis", die_with_parent=True) as redis, pytest.MonkeyPatch.context() as patch:
        environment = {
            "PERDURE_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
            "PERDURE_BROKER_URL": redis.url,
            "PERDURE_HOME": str(folder / "home"),
            "PERDURE_FAULTS_ALLOWED": "1",
            "PERDURE_FLOWER_PASSWORD": OPERATOR[1],
            "PERDURE_FLOWER_VIEWERS": '{"vera": "may-look"}',
            "FLOWER_XHEADERS": "true",  # so that a test can come from an address of its own
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(folder))
        sys.modules.pop("flower_site", None)
        app: Perdure = importlib.import_module("flower_site").app
        app.ledger.upgrade()  # who only looks makes none
        with flower_process([PERDURE, "-A", "flower_site", "flower"], folder, environment, OPERATOR) as flower:
            yield Site(app, flower, environment, folder)
        app.close()
        sys.modules.pop("flower_site", None)

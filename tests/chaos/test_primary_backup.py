"""A primary that hangs or is killed in an operation: a new one is promoted, and the old one writes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from perdure.manage.primary_backup import PrimaryBackup
from support.cluster import PATIENCE, Cluster
from support.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def cluster(make_guarded: Callable[..., Cluster], sqlite_url: str, redis_url: str) -> Cluster:
    return make_guarded(sqlite_url, redis_url)


def shelf(cluster: Cluster, name: str) -> list[str]:
    file = cluster.folder / f"{name}.shelf"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("fate", ["killed", "wakes up late"])
def test_the_operation_counts_once_and_by_the_new_primary(cluster: Cluster, fate: str) -> None:
    cluster.workers("w1", "w2")
    stock: PrimaryBackup[object] = cluster.app.groups["stock"]
    stuck = stock.submit("gate", key="first")
    wait_until(lambda: (cluster.folder / "stock.pid").exists(), PATIENCE, message=lambda: cluster.describe(stuck))
    assert shelf(cluster, "eu") == ["first"]

    stock.promote("us", reason="eu hangs")
    if fate == "killed":
        os.kill(int((cluster.folder / "stock.pid").read_text()), signal.SIGKILL)
    else:
        cluster.open("stock")
    after = stock.submit("more", key="second")

    assert stuck.wait(PATIENCE) == "gate in epoch 2", cluster.describe(stuck)
    assert after.wait(PATIENCE) == "more in epoch 2"
    wait_until(lambda: stock.snapshot().applied == {"eu": 2, "us": 2}, PATIENCE, message=lambda: str(stock.snapshot()))
    assert sorted(shelf(cluster, "eu")) == sorted(shelf(cluster, "us")) == ["first", "second"]

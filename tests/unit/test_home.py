"""The home folder says where the embedded servers are, the same to every process."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest

from perdure.errors import SettingsError
from perdure.home import Home


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    assert home.ledger_url == f"sqlite:///{tmp_path}/a/b/ledger.db"
    assert not home.path.exists()


def test_the_port_is_chosen_once(tmp_path: Path) -> None:
    port = Home(tmp_path / "home").redis_port
    assert 1024 <= port <= 65535
    assert Home(tmp_path / "home").redis_port == port
    assert Home(tmp_path / "home").redis_url == f"redis://127.0.0.1:{port}/0"
    assert Home(tmp_path / "other").redis_port != port


def test_another_port_replaces_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    first = home.redis_port
    second = home.choose_new_redis_port()
    assert home.redis_port == second != first
    assert [file.name for file in home.path.iterdir()] == ["redis.port"]


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    path = Home(tmp_path / "home").ensure()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_relative_folder_is_fixed_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home(Path("here"))
    monkeypatch.chdir("/")
    assert home.path == tmp_path / "here"
    assert Home(Path("~/x")).path == Path.home() / "x"


def test_processes_that_start_together_agree_on_the_port(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")
    ports, start = forked.SimpleQueue(), forked.Barrier(6)

    def choose() -> None:
        start.wait(30)
        ports.put(Home(tmp_path / "home").redis_port)

    processes = [forked.Process(target=choose) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert len({ports.get() for _ in processes}) == 1


def test_a_broken_port_file_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "redis.port").write_text("")
    with pytest.raises(SettingsError, match=r"redis.port holds ''.*Delete the file"):
        _ = home.redis_port

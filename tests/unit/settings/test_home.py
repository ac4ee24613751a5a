"""The home folder says where the embedded servers are, the same to every process."""

from __future__ import annotations

import multiprocessing
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perdure.errors import SettingsError
from perdure.settings.home import Home
from perdure.system.private import tighten


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    assert home.ledger_url == f"sqlite:///{tmp_path}/a/b/ledger.db"
    assert not home.path.exists()


@pytest.mark.parametrize("below", ["", "a/b"])
def test_a_home_in_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=f"home = .*{tmp_path}/file is no folder"):
        Home(tmp_path / "file" / below)


def test_the_port_is_chosen_once(tmp_path: Path) -> None:
    port = Home(tmp_path / "home").redis_port
    assert 1024 <= port <= 65535
    assert Home(tmp_path / "home").redis_port == port
    password = Home(tmp_path / "home").redis_password
    assert Home(tmp_path / "home").redis_url == f"redis://:{password}@127.0.0.1:{port}/0"
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


def test_processes_that_start_together_agree_on_the_password(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        chosen = list(pool.map(lambda _: Home(tmp_path / "home").redis_password, range(6)))
    assert len(set(chosen)) == 1
    assert len(chosen[0]) >= 24
    assert stat.S_IMODE((tmp_path / "home" / "redis.password").stat().st_mode) == 0o600
    assert Home(tmp_path / "other").redis_password != chosen[0]


@pytest.mark.parametrize("text", ["", "short", "pass@word/with?everything"])
def test_a_broken_password_file_is_named(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    (tmp_path / "redis.password").write_text(text)
    with pytest.raises(SettingsError, match=r"redis.password holds no password. Delete the file") as caught:
        _ = home.redis_url
    assert not text or text not in str(caught.value)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


@pytest.fixture
def open_home(tmp_path: Path) -> Path:
    """A home that an older release or a wide umask has left open."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("ledger.db", "ledger.db-wal", "redis.password", "notes.txt"):
        (folder / name).write_text("a-secret-of-somebody")
        (folder / name).chmod(0o644)
    (folder / "logs").mkdir()
    (folder / "logs").chmod(0o755)
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("use", [lambda home: home.ensure(), lambda home: home.ledger_url, lambda home: home.redis_port])
def test_an_open_home_is_tightened(open_home: Path, use: Callable[[Home], object]) -> None:
    use(Home(open_home))
    private = {"home": 0o700, "ledger.db": 0o600, "ledger.db-wal": 0o600, "redis.password": 0o600, "logs": 0o700}
    found = modes(open_home)
    assert {name: found[name] for name in private} == private
    assert found["notes.txt"] == 0o644, "what is not ours to know stays as it is"


def test_a_group_that_may_write_was_let_in_on_purpose(open_home: Path) -> None:
    open_home.chmod(0o775)
    (open_home / "ledger.db").chmod(0o664)
    Home(open_home).ensure()
    assert modes(open_home)["home"] == 0o770
    assert modes(open_home)["ledger.db"] == 0o660


def test_folders_that_are_everybodys_and_links_are_left_alone(open_home: Path, tmp_path: Path) -> None:
    open_home.chmod(0o1777)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("x")
    elsewhere.chmod(0o644)
    (open_home / "runtime.json").symlink_to(elsewhere)
    Home(open_home).ensure()
    assert modes(open_home)["home"] == 0o1777
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


def test_a_home_that_is_not_ours_is_told_of(
    open_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    Home(open_home).ensure()
    assert modes(open_home)["home"] == 0o755
    assert f"{open_home} may be read by others (mode 755) and is not ours to change" in caplog.text


def test_a_broken_port_file_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "redis.port").write_text("")
    with pytest.raises(SettingsError, match=r"redis.port holds ''.*Delete it"):
        _ = home.redis_port


def test_what_is_no_file_and_no_folder_is_left_alone(tmp_path: Path) -> None:
    """As root a device could be taken from everybody: PERDURE_HOME=/dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    tighten(pipe)
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o666

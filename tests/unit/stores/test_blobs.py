from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.model.storage_errors import BlobNotFound, CorruptBlob
from perdure.stores.blobs.blobs import BlobStore
from perdure.stores.blobs.offload import Offloader, reference


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid4().hex}"


def test_what_was_put_is_got(url: str) -> None:
    blobs = BlobStore(url)
    ref = blobs.put(b"\0large")
    assert ref.startswith("blob:sha256:")
    assert blobs.get(ref) == b"\0large"
    assert blobs.put(b"\0large") == ref
    assert list(blobs.refs()) == [ref]
    blobs.health()


def test_an_absent_blob_is_named(url: str) -> None:
    blobs = BlobStore(url)
    ref = blobs.put(b"x")
    blobs.delete(ref)
    blobs.delete(ref)
    with pytest.raises(BlobNotFound, match=ref):
        blobs.get(ref)


@pytest.mark.parametrize("ref", ["", "blob:sha256:../../etc/passwd", "blob:md5:" + "0" * 64, "x"])
def test_what_is_no_reference_reads_nothing(url: str, ref: str) -> None:
    with pytest.raises(BlobNotFound, match="not a blob reference"):
        BlobStore(url).get(ref)


def test_damage_is_found_and_a_new_put_mends_it(tmp_path: Path) -> None:
    blobs = BlobStore(str(tmp_path))
    ref = blobs.put(b"content")
    next(path for path in tmp_path.rglob("*") if path.is_file()).write_bytes(b"cOntent")
    with pytest.raises(CorruptBlob, match=ref):
        blobs.get(ref)
    blobs.put(b"content")
    assert blobs.get(ref) == b"content"


def test_a_sweep_removes_what_is_old_and_unused(url: str) -> None:
    blobs = BlobStore(url)
    used, unused = blobs.put(b"used"), blobs.put(b"unused")
    written = blobs._files.modified(f"{unused[12:14]}/{unused[12:]}")
    assert written is not None
    assert blobs.sweep({used}, before=written) == 0
    assert blobs.sweep({used}, before=written + 1) == 1
    assert list(blobs.refs()) == [used]
    assert blobs.sweep({used}, before=written + 1) == 0


def test_a_put_makes_an_existing_blob_young_again(tmp_path: Path) -> None:
    blobs = BlobStore(str(tmp_path))
    ref = blobs.put(b"again")
    os.utime(tmp_path / ref[12:14] / ref[12:], (1, 1))
    blobs.put(b"again")
    assert blobs.sweep(set(), before=time.time() - 3600) == 0
    assert blobs.get(ref) == b"again"


def test_what_is_written_while_it_is_removed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submit of the same content comes between the look at the blob and its removal."""
    blobs = BlobStore(str(tmp_path))
    ref = blobs.put(b"wanted again")
    os.utime(tmp_path / ref[12:14] / ref[12:], (1, 1))
    look = blobs._files.modified

    def looked(path: str) -> float | None:
        when = look(path)
        blobs.put(b"wanted again")
        return when

    monkeypatch.setattr(blobs._files, "modified", looked)
    assert blobs.sweep(set(), before=1000) == 0
    assert blobs.get(ref) == b"wanted again"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [ref[12:]]


def test_who_uses_a_store_is_noted_once(url: str) -> None:
    blobs = BlobStore(url)
    first = blobs.mark("a")
    assert list(first) == ["a"]
    assert list(blobs.mark("b")) == ["a", "b"]
    assert blobs.mark("a")["a"] == first["a"]
    assert list(blobs.refs()) == []


@given(st.one_of(st.text(max_size=40), st.just("blob:sha256:" + "0" * 64), st.just("blob:x")))
def test_any_text_comes_back(value: str) -> None:
    offloader = Offloader(BlobStore("memory://offload-text"), threshold=16)
    stored = offloader.text(value)
    assert offloader.resolve_text(stored) == value
    assert (reference(stored) is not None) == (len(value.encode()) > 16 or value.startswith("blob:"))


@given(st.one_of(st.binary(max_size=40), st.just(b"blob:sha256:" + b"0" * 64)))
def test_any_bytes_come_back(value: bytes) -> None:
    offloader = Offloader(BlobStore("memory://offload-data"), threshold=16)
    stored = offloader.data(value)
    assert offloader.resolve_data(stored) == value
    assert (reference(stored) is not None) == (len(value) > 16 or value.startswith(b"blob:"))

from __future__ import annotations

import os
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
    assert BlobStore(url, clock=lambda: written + 99).sweep({used}, min_age=100) == 0
    later = BlobStore(url, clock=lambda: written + 200)
    assert later.sweep({used}, min_age=100) == 1
    assert list(later.refs()) == [used]


def test_a_put_makes_an_existing_blob_young_again(tmp_path: Path) -> None:
    blobs = BlobStore(str(tmp_path))
    ref = blobs.put(b"again")
    os.utime(tmp_path / ref[12:14] / ref[12:], (1, 1))
    blobs.put(b"again")
    assert blobs.sweep(set(), min_age=3600) == 0
    assert blobs.get(ref) == b"again"


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

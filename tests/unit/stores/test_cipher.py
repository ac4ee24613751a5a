from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import SettingsError
from perdure.model.storage_errors import MissingKey, Undecipherable
from perdure.stores.encryption.cipher import KEYS_VARIABLE, Cipher, KeyRing, Place
from support.forks import in_children

OLD, NEW = KeyRing.generate("old"), KeyRing.generate("new")
ARGS = Place("args", "job-1")
#: What the first release made of a text.
OF_THE_FIRST_RELEASE = "enc:v1:k1:rKu6Rq5ORFfL-gEAwWvo48no7QI2S4HnCgkuA7MInVik5Ok5"
cipher = Cipher(KeyRing.parse(NEW))


@given(st.text(), st.binary())
def test_what_was_sealed_opens(text: str, data: bytes) -> None:
    assert cipher.open(cipher.seal(text, ARGS), ARGS) == text
    assert cipher.open_bytes(cipher.seal_bytes(data, ARGS), ARGS) == data


def test_the_envelope_names_the_key_and_hides_the_text() -> None:
    sealed = cipher.seal("4111 1111 1111 1111", ARGS)
    assert sealed.startswith("enc:v1:new:")
    assert "4111" not in sealed
    assert sealed != cipher.seal("4111 1111 1111 1111", ARGS)


@pytest.mark.parametrize("place", [Place("args", "job-2"), Place("result", "job-1"), Place("arg", "sjob-1")])
def test_a_value_in_another_place_does_not_open(place: Place) -> None:
    with pytest.raises(Undecipherable, match="copied from another job or column"):
        cipher.open(cipher.seal("x", ARGS), place)
    with pytest.raises(Undecipherable):
        cipher.open_bytes(cipher.seal_bytes(b"x", ARGS), place)


@given(st.data())
def test_a_changed_envelope_does_not_open(data: st.DataObject) -> None:
    sealed = cipher.seal_bytes(b"some state", ARGS)
    at = data.draw(st.integers(len("enc:v1:new:"), len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ data.draw(st.integers(1, 255))]) + sealed[at + 1 :]
    with pytest.raises(Undecipherable):
        cipher.open_bytes(changed, ARGS)
    with pytest.raises(Undecipherable):
        cipher.open_bytes(sealed[:at], ARGS)


@pytest.mark.parametrize("stored", ["enc:v1:new:", "enc:v1:new:!!!", "enc:v1:new:AAAA"])
def test_a_mangled_text_does_not_open(stored: str) -> None:
    with pytest.raises(Undecipherable):
        cipher.open(stored, ARGS)


def test_keys_are_rotated() -> None:
    sealed = Cipher(KeyRing.parse(OLD)).seal("x", ARGS)
    rotated = Cipher(KeyRing.parse(f"{NEW},{OLD}"))
    assert rotated.open(sealed, ARGS) == "x"
    assert not rotated.current(sealed)
    again = rotated.seal("x", ARGS)
    assert again.startswith("enc:v1:new:")
    assert rotated.current(again)
    assert rotated.current(again.encode())


@pytest.mark.parametrize("ring", [None, KeyRing.parse(NEW)])
def test_a_missing_key_is_named_with_what_to_do(ring: KeyRing | None) -> None:
    sealed = Cipher(KeyRing.parse(OLD)).seal("x", ARGS)
    with pytest.raises(MissingKey, match=f"args of job job-1 .*'old'.*Nothing is lost: add that key to {KEYS_VARIABLE}"):
        Cipher(ring).open(sealed, ARGS)


def test_plain_values_are_refused_unless_the_ledger_is_older_than_its_encryption() -> None:
    lenient = Cipher(KeyRing.parse(NEW), accept_plain=True)
    assert lenient.open('["plain"]', ARGS) == '["plain"]'
    assert lenient.open_bytes(b"plain", ARGS) == b"plain"
    with pytest.raises(Undecipherable, match=r"not sealed.+set encryption_accept_plain = true"):
        cipher.open('["plain"]', ARGS)
    with pytest.raises(Undecipherable, match="not sealed"):
        cipher.open_bytes(b"plain", ARGS)


def test_a_value_is_bound_to_its_task() -> None:
    pay = Place("args", "job-1", "shop.pay")
    sealed, sealed_bytes = cipher.seal("x", pay), cipher.seal_bytes(b"x", pay)
    assert sealed.startswith("enc:v2:new:")
    assert (cipher.open(sealed, pay), cipher.open_bytes(sealed_bytes, pay)) == ("x", b"x")
    assert cipher.current(sealed)
    for other in (pay._replace(task="shop.refund"), pay._replace(task=None), pay._replace(task="")):
        with pytest.raises(Undecipherable, match="given another task"):
            cipher.open(sealed, other)
        with pytest.raises(Undecipherable):
            cipher.open_bytes(sealed_bytes, other)
    with pytest.raises(Undecipherable):
        cipher.open(sealed.replace("enc:v2:", "enc:v1:"), pay)


def test_values_of_releases_that_bound_no_task_open_with_one() -> None:
    old = Cipher(KeyRing.parse("k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="))
    assert old.open(OF_THE_FIRST_RELEASE, ARGS._replace(task="shop.pay")) == '["4111"]'
    assert cipher.open_bytes(cipher.seal_bytes(b"x", ARGS), ARGS._replace(task="shop.pay")) == b"x"


def test_without_a_ring_values_stay_plain() -> None:
    plain = Cipher(None)
    assert plain.open(plain.seal("x", ARGS), ARGS) == plain.seal("x", ARGS) == "x"
    assert plain.open_bytes(plain.seal_bytes(b"x", ARGS), ARGS) == b"x"
    assert plain.current("x")


@pytest.mark.parametrize(
    "text",
    ["nocolon", "k1:%%%", "k1:QUJD", "bad id:" + NEW[4:], f"{NEW},{NEW}", ",", ":" + NEW[4:], NEW[4:] + ":new"],
    ids=["no colon", "not base64", "too short", "bad id", "twice", "empty", "no id", "reversed"],
)
def test_a_malformed_ring_is_refused_without_showing_keys(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        KeyRing.parse(text)
    assert NEW[4:] not in str(caught.value)
    assert NEW[4:] not in repr(KeyRing.parse(NEW))


@pytest.mark.parametrize("use", [lambda: cipher.seal("x", ARGS), partial(cipher.open, cipher.seal("x", ARGS), ARGS)])
def test_a_fork_waits_for_a_cipher_that_another_thread_uses(
    use: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library has locks for what it makes when it is first used: a child that inherits one would wait for ever."""
    inside, leave, left = threading.Event(), threading.Event(), list[bool]()
    cipher_for = KeyRing.cipher_for

    def slowly(ring: KeyRing, key_id: str, place: Place) -> AESGCM:
        inside.set()
        leave.wait(30)
        left.append(True)
        return cipher_for(ring, key_id, place)

    monkeypatch.setattr(KeyRing, "cipher_for", slowly)
    thread = threading.Thread(target=use)
    thread.start()
    assert inside.wait(30)
    threading.Timer(0.2, leave.set).start()
    assert in_children([lambda: bool(left)]) == [True]
    thread.join(30)

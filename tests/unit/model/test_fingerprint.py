"""The same fault has the same fingerprint, whatever its values and wherever its lines moved; another fault another one."""

from __future__ import annotations

import traceback

import pytest

from perdure.model.text.fingerprint import fingerprint, normalised

FRAMES = [("/srv/shop/app.py", "main"), ("/srv/shop/orders.py", "charge"), ("/srv/shop/cards.py", "send")]


def of(message: str = "no", kind: str = "ValueError", frames: list[tuple[str, str]] = FRAMES, task: str = "") -> str:
    return fingerprint(task, kind, message, frames)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 not found", "order 4242 not found"),
        ("took 1.5 s", "took 20 s"),
        ("no user 'ann'", "no user 'bob o. builder'"),
        ('no user "ann"', 'no user "bob"'),
        ("job 01890a5d-ac96-774b-bcce-b302099a8057 gone", "job 01890a5d-0000-774b-bcce-ffffffffffff gone"),
        ("<Order at 0x7f14cffeb450>", "<Order at 0x7f0000000010>"),
        ("object deadbeef0123456789 missing", "object 0123456789abcdef01 missing"),
        ("cannot open /tmp/a/b.txt", "cannot open /var/lib/x/y-z.csv"),
        ("HTTP 503\n  retry", "HTTP 502 retry"),
    ],
)
def test_values_do_not_matter(one: str, other: str) -> None:
    assert of(one) == of(other)


@pytest.mark.parametrize("other", ["order not paid", "yes", "", "no such table"])
def test_other_words_matter(other: str) -> None:
    assert of("no") != of(other)


def test_the_type_the_place_and_the_task_matter() -> None:
    different = {
        of(),
        of(kind="KeyError"),
        of(task="shop.buy"),
        of(frames=[*FRAMES[:-1], ("/srv/shop/cards.py", "receive")]),
        of(frames=[*FRAMES[:-1], ("/srv/shop/bank.py", "send")]),
        of(frames=[("/srv/shop/app.py", "main"), ("/srv/shop/refunds.py", "charge"), FRAMES[-1]]),
        of(frames=[]),
    }
    assert len(different) == 7


def test_frames_far_above_and_the_folder_do_not_matter() -> None:
    assert of(frames=[("/srv/shop/other.py", "main"), *FRAMES]) == of()
    assert of(frames=[(file.replace("/srv", "/home/ann"), function) for file, function in FRAMES]) == of()


def test_library_frames_do_not_matter() -> None:
    import json

    inner = (json.__file__, "loads")
    assert of(frames=[*FRAMES, inner]) == of()


def raise_at(shift: int) -> list[tuple[str, str]]:
    code = "\n" * shift + "def fail():\n    raise ValueError('no')\n"
    names: dict[str, object] = {}
    exec(compile(code, "/srv/shop/fail.py", "exec"), names)
    try:
        names["fail"]()  # type: ignore[operator]
    except ValueError as error:
        return [(frame.filename, frame.name) for frame in traceback.extract_tb(error.__traceback__)]
    raise AssertionError


def test_line_shifts_do_not_matter() -> None:
    assert of(frames=raise_at(0)) == of(frames=raise_at(40))


@pytest.mark.parametrize("folder", ["/srv/perdure-shop", "/home/ann/perdure", "/perdured"])
def test_code_in_a_folder_that_is_named_like_the_platform_is_own_code(folder: str) -> None:
    frames = [(f"{folder}/orders.py", "charge"), (f"{folder}/cards.py", "send")]
    assert of(frames=[*frames, *in_library()]) == of(frames=frames)


def test_the_platform_s_own_frames_do_not_matter() -> None:
    import perdure.model.codec.codec
    import perdure_workers.worker.execute

    platform = [(perdure_workers.worker.execute.__file__, "_call"), (perdure.model.codec.codec.__file__, "encode")]
    assert of(frames=[platform[0], *FRAMES[1:], platform[1]]) == of(frames=FRAMES[1:])


def in_library() -> list[tuple[str, str]]:
    import json

    return [(json.__file__, "loads")]


def test_it_is_short_and_takes_any_text() -> None:
    assert len(of("\ud800" * 5000)) == 16
    assert len(normalised("a b " * 5000)) <= 500

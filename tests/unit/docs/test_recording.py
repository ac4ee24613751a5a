"""A recording shows each screen that was seen, in its colours, and is an image that any browser takes."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

DOCS = Path(__file__).resolve().parents[3] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def test_screens_become_one_animated_picture() -> None:
    recording = runpy.run_path(str(DOCS / "recording.py"))
    printed = [(0.1, b"one & \x1b[1;31m<two>\x1b[0m\r\n"), (0.5, b"three\x1b[2K\rfour"), (9.0, b"!")]
    shown = recording["frames"](printed)
    assert [seconds for seconds, _ in shown] == [0.5, 0.5, recording["LAST"]]

    picture = ElementTree.fromstring(recording["drawn"](shown, "a & b"))
    texts = {(text.text or "").strip(): text for text in picture.iter(f"{SVG}text")}
    assert set(texts) == {"one &", "<two>", "four", "four!"}
    assert (texts["<two>"].get("fill"), texts["<two>"].get("class")) == (recording["COLOURS"]["red"], "b")
    assert len([*picture.iter(f"{SVG}use")]) == 5


def test_the_picture_of_the_demo_shows_that_all_promises_were_kept() -> None:
    picture = ElementTree.parse(DOCS / "pictures" / "demo.svg")
    texts = "\n".join(text.text or "" for text in picture.iter(f"{SVG}text"))
    assert "kill" in texts
    assert "kept" in texts
    assert "broken" not in texts

"""Tracebacks for people: perdure's own frames folded, so that the first frame is one of the job's own code.

They are texts by the time that somebody reads them, written by other processes and maybe on other machines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from perdure.system.package import PACKAGE

_HEADER = re.compile(r"^(?P<lead>[ |+]*)(?:Exception Group )?Traceback \(most recent call last\):$")
#: Also within an exception group, whose lines begin with bars.
_FRAME = re.compile(r'^(?P<lead>[ |]*)  File "(?P<path>[^"]*)", line \d+')
_REPEATED = re.compile(r"^[ |]*  \[Previous line repeated ")
#: Where perdure's files are on machines that are not this one. A folder that is merely called perdure is somebody's own.
_OWN = re.compile(r"(?:(?:site|dist)-packages|/platform)/perdure/|/perdure_workers/")


def folded(traceback: str) -> str:
    """Return a traceback without perdure's own frames, each run of them a note; as it is if it has no others.

    Args:
        traceback: The text as :func:`traceback.format_exception` makes it, with causes and groups.
    """
    return "\n".join(line for block in _blocks(traceback.split("\n")) for line in _shown(block))


def is_own(path: str) -> bool:
    """Return whether a file is one of perdure's."""
    return path.startswith(PACKAGE) or _OWN.search(path) is not None


def _blocks(lines: list[str]) -> Iterator[list[list[str]]]:
    """Yield each traceback of a text as its pieces: the header, its frames, and what follows them."""
    pieces: list[list[str]] = [[]]
    for line in lines:
        if _HEADER.match(line):
            yield pieces
            pieces = [[line]]
        elif _FRAME.match(line) or not _belongs_to_frame(line, pieces[-1]):
            pieces.append([line])
        else:
            pieces[-1].append(line)
    yield pieces


def _belongs_to_frame(line: str, piece: list[str]) -> bool:
    if not piece or (frame := _FRAME.match(piece[0])) is None:
        return False
    return line.startswith(frame["lead"] + "    ") or _REPEATED.match(line) is not None


def _shown(pieces: list[list[str]]) -> Iterator[str]:
    frames = [match["path"] for piece in pieces if piece and (match := _FRAME.match(piece[0]))]
    fold = any(not is_own(path) for path in frames)
    run, lead, begun = 0, "", False
    for piece in pieces:
        match = _FRAME.match(piece[0]) if piece else None
        if fold and match is not None and is_own(match["path"]):
            run, lead = run + 1, match["lead"]
            continue
        if run and (begun or match is None):
            yield f"{lead}  [{_count(run)} of perdure]"
            run = 0
        if match is not None:
            # What perdure did before it called the job's function says nothing: it is left out without a note.
            begun, run = True, 0
        yield from piece


def _count(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"

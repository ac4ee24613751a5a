"""Text of others on its way to a terminal or a log: it must look like what it is, and forge nothing.

A job's error may hold anything: a newline and what looks like a log line, escapes that clear a terminal or write to its
clipboard, characters that turn the direction of writing (CVE-2021-42574). All of those are shown as Python writes them.
"""

from __future__ import annotations

import json
import re

#: Controls (C0, DEL, C1), marks that turn the direction, invisible characters, separators of lines and paragraphs, lone
#: surrogates, byte order marks and tags. Not the joiners, which scripts and emoji need.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))

#: Those of them that JSON lets stand as they are.
_UNSAFE_IN_JSON = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", ""))


def one_line(text: object) -> str:
    """Return a text as one line that is safe to print: what moves a cursor, hides or reorders is shown as an escape."""
    return _UNSAFE.sub(_escaped, str(text))


def many_lines(text: object) -> str:
    """Return a text of several lines, such as a traceback, as :func:`one_line` does but with its newlines and tabs."""
    return _UNSAFE_BUT_LINES.sub(_escaped, str(text))


def json_text(document: str) -> str:
    """Return a JSON document that is safe to print and still says the same: such characters become JSON's escapes."""
    return _UNSAFE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], document)


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1] if found[0] != "\xad" else "\\xad"

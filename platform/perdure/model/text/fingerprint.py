"""Fingerprints: one short text for the same fault, whatever the arguments and wherever its lines moved.

It is a hash of the exception's type, the innermost frames of the application's own code (file name and function, no line
numbers) and the message with everything that varies (numbers, ids, quoted text, addresses, paths) taken out.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections import deque
from collections.abc import Iterable

from perdure.system.package import PACKAGE

#: Innermost application frames that count: enough to tell callers apart, few enough to survive refactoring above them.
FRAMES = 3

_LIBRARY = (
    *{path for name, path in sysconfig.get_paths().items() if name in ("stdlib", "purelib", "platlib")},
    PACKAGE,  # the platform itself, where it is not installed with the libraries
)
_WORKER = "/perdure_workers/"
_VARYING = (
    (re.compile(r"(['\"]).*?\1"), "<text>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"(?:/[\w.\-]+){2,}"), "<path>"),
    (re.compile(r"\d+(?:\.\d+)?"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def fingerprint(task: str, error_type: str, message: str, frames: Iterable[tuple[str, str]]) -> str:
    """Return a fault's fingerprint, 16 hexadecimal digits.

    Args:
        task: The task's name where the place alone does not tell; else empty.
        error_type: The exception's type.
        message: Its message.
        frames: (file, function) of each frame of its traceback, the innermost last.
    """
    own: deque[tuple[str, str]] = deque(maxlen=FRAMES)
    every: deque[tuple[str, str]] = deque(maxlen=FRAMES)
    for frame in frames:
        every.append(frame)
        if not frame[0].startswith(_LIBRARY) and _WORKER not in frame[0]:
            own.append(frame)
    places = [f"{file.rsplit('/', 1)[-1]}:{function}" for file, function in own or every]
    text = "\n".join([task, error_type, normalised(message), *places])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def normalised(message: str) -> str:
    """Return a message with what varies from case to case replaced by placeholders."""
    for pattern, placeholder in _VARYING:
        message = pattern.sub(placeholder, message)
    return message.strip()[:500]

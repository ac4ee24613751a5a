"""An exception as texts, whatever the exception does: jobs raise what perdure has not seen.

Its ``__str__`` may fail, its attributes may be of any type, its causes may go in a circle or be a hundred thousand, and its
text may be longer than memory has room for twice. Nothing here raises, and all is cut to what the ledger keeps, once.

The interpreter's own slots of an exception are read past what its class has put over them.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from perdure.model.text.storable import MAX_ERROR, MAX_NAME, MAX_TRACEBACK, storable
from perdure.model.text.stored_names import stored_module

#: Errors of a traceback, with causes and members of groups; the standard library would format each of a million.
MAX_ERRORS = 20
#: Innermost frames of one error that are shown.
MAX_FRAMES = 200


def type_name(kind: type) -> str:
    """Return the name of an exception's type, with its module unless that is ``builtins`` or ``__main__``.

    One of perdure's own keeps the name that ledgers know it by; see :mod:`perdure.model.text.stored_names`.
    """
    slots: dict[str, Any] = vars(type)  # type: ignore[assignment]
    name, module = slots["__qualname__"].__get__(kind), slots["__module__"].__get__(kind)
    full = name if not isinstance(module, str) or module in ("builtins", "__main__") else f"{stored_module(module)}.{name}"
    return (storable(full, limit=len(full) * 6) or "?")[:MAX_NAME]


def text(error: BaseException) -> str:
    """Return what an exception says; that may be nothing."""
    try:
        said = str.__str__(str(error))  # a subclass of str can fail later as well
    except BaseException as failed:  # noqa: BLE001 - the job's own __str__
        return f"<{type_name(type(error))}, whose text cannot be had: {type_name(type(failed))}>"
    return storable(said, MAX_ERROR) or ""


def frames(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield (file, function) of each frame of an exception's traceback, the innermost last."""
    at: TracebackType | None = _slot(error, "__traceback__")
    while at is not None:
        code = at.tb_frame.f_code
        yield code.co_filename, code.co_name
        at = at.tb_next


def trace(error: BaseException) -> str:
    """Return an exception's traceback, with those of its causes."""
    related = _related(error)
    is_usual = len(related) <= MAX_ERRORS and sum(_length(each) for each in related) <= MAX_TRACEBACK
    try:
        written = traceback.format_exception(error, limit=-MAX_FRAMES) if is_usual else _plain(related)
    except BaseException:  # noqa: BLE001 - a broken class; see the head of this file
        written = _plain(related)
    return storable("".join(written), MAX_TRACEBACK) or ""


def _slot(error: BaseException, name: str) -> Any:
    return vars(BaseException)[name].__get__(error)


def _related(error: BaseException) -> list[BaseException]:
    """Return an exception with those that its traceback would show, at most one more than ``MAX_ERRORS``."""
    found: list[BaseException] = []
    waiting, seen = deque([error]), set[int]()
    while waiting and len(found) <= MAX_ERRORS:
        each = waiting.popleft()
        if id(each) in seen:
            continue
        seen.add(id(each))
        found.append(each)
        waiting.extend(_shown_with(each))
    return found


def _shown_with(error: BaseException) -> list[BaseException]:
    cause, context = _slot(error, "__cause__"), _slot(error, "__context__")
    shown = [cause or context] if not _slot(error, "__suppress_context__") else [cause]
    members = vars(BaseExceptionGroup)["exceptions"].__get__(error) if _is_group(error) else ()
    return [each for each in (*shown, *members[: MAX_ERRORS + 1]) if each is not None]


def _is_group(error: BaseException) -> bool:
    return issubclass(type(error), BaseExceptionGroup)


def _length(error: BaseException) -> int:
    """Return the length of an exception's text and notes; that of the longest for what has no length."""
    try:
        notes = getattr(error, "__notes__", ())
        return len(str(error)) + sum(map(len, notes))
    except BaseException:  # noqa: BLE001 - then it is not formatted by others either
        return MAX_TRACEBACK + 1


def _plain(errors: list[BaseException]) -> list[str]:
    """Return a traceback that asks nothing of the exceptions: no source lines, no notes."""
    lines: list[str] = []
    for error in errors[:MAX_ERRORS]:
        lines += ["Traceback (most recent call last):\n"] if not lines else ["\nwith\n\n"]
        at: TracebackType | None = _slot(error, "__traceback__")
        innermost: deque[str] = deque(maxlen=MAX_FRAMES)
        while at is not None:
            code = at.tb_frame.f_code
            innermost.append(f'  File "{code.co_filename}", line {at.tb_lineno}, in {code.co_name}\n')
            at = at.tb_next
        lines += [*innermost, f"{type_name(type(error))}: {text(error)}\n"]
    if len(errors) > MAX_ERRORS:
        lines.append("\nand more\n")
    return lines

"""Making any text storable: jobs raise errors and say things that a database refuses."""

from __future__ import annotations

#: Longest error text and traceback that are kept, in characters; the middle of a longer one is cut out.
MAX_ERROR = 10_000
MAX_TRACEBACK = 50_000
#: Longest name, in characters.
MAX_NAME = 255
#: Longest reason that somebody gives for something, in characters.
MAX_REASON = 1_000

#: How a sealed value begins (see ``perdure.stores.encryption.cipher``): cut, it could not be opened any more.
SEALED = "enc:v"


def storable(text: str | None, limit: int) -> str | None:
    """Return a text that every database takes, of at most about ``limit`` characters.

    PostgreSQL refuses NUL, and UTF-8 has no lone surrogates: both are written as escapes. In place of the middle of a
    longer text is a note.
    """
    if text is None:
        return None
    text = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    if len(text) <= limit or text.startswith(SEALED):
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"


def storable_name(text: str | None) -> str | None:
    """Return a name as :func:`storable` does, cut at its end to the 255 characters of a column."""
    cleaned = storable(text, limit=len(text) * 6) if text else text
    return cleaned[:MAX_NAME] if cleaned else cleaned

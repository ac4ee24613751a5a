"""The words by which a dead letter is found: of its error, task and arguments."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")
_CAMEL_PART = re.compile(r"[A-Z]+[a-z0-9]*")

#: Most words that are kept of a letter: the first ones, of the error before those of the arguments.
MAX_WORDS = 48
#: Longest word that is kept, in characters; a longer one is cut.
MAX_LENGTH = 40
#: Characters of each text that are looked at.
LOOKED_AT = 2_000


def words(*texts: str | None) -> list[str]:
    """Return the distinct words of texts, in their order: runs of letters and digits, in lower case.

    >>> words("order o-17: Timeout", '{"region":"eu_west"}')
    ['order', 'o', '17', 'timeout', 'region', 'eu', 'west']
    """
    found: dict[str, None] = {}
    for text in texts:
        for match in _WORD.finditer((text or "")[:LOOKED_AT]):
            found.setdefault(match[0].lower()[:MAX_LENGTH])
    return list(found)


def letter_words(
    task: str, error_type: str | None, error: str | None, args: str | None, kwargs: str | None, raw: bytes | None = None
) -> list[str]:
    """Return the words that a dead letter is found by; ``ReadTimeout`` is found by its parts as well."""
    parts = " ".join(_CAMEL_PART.findall(error_type or ""))
    message = raw[:LOOKED_AT].decode("utf-8", "replace") if raw else None
    return words(error_type, parts, task, error, args, kwargs, message)[:MAX_WORDS]

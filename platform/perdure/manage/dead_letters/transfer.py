"""Export and import of dead letters as JSON Lines: one letter a line, with its attempts and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from perdure.errors import InvalidArguments
from perdure.model.dead_letter import STATUSES, Actor, LetterFilter
from perdure.model.exported_letter import FORMAT, Exported
from perdure.model.states import DeadReason

if TYPE_CHECKING:
    from perdure.ledger.dead_letters.letters import Letters

#: Letters that one transaction reads or writes.
PAGE = 200


class ImportReport(msgspec.Struct, frozen=True):
    """What an import did: ``imported`` letters are new, ``known`` ones were there and stayed as they are."""

    imported: int
    known: int


def export(
    letters: Letters, which: LetterFilter, actor: Actor, shown: Callable[[Exported], Exported] = lambda line: line
) -> Iterator[str]:
    """Yield a line for each letter, the oldest first; at the end the audit trail is told how many there were.

    Args:
        letters: The ledger's letters.
        which: Which of them.
        actor: Who exports.
        shown: Makes of each what is written.
    """
    count, after = 0, None
    while page := letters.read(which, limit=PAGE, after=after):
        after = page[-1].letter.id
        count += len(page)
        yield from (msgspec.json.encode(shown(line)).decode() for line in page)
    letters.record(actor, "export", [{"count": count, "which": which.given()}])


def import_(letters: Letters, lines: Iterable[str], actor: Actor) -> ImportReport:
    """Write the letters of an export's lines.

    Raises:
        InvalidArguments: A line is no exported letter; the message names its number. Those of earlier batches are written.
    """
    parsed = (_parsed(number, line) for number, line in enumerate(lines, 1) if line.strip())
    imported = total = 0
    while page := list(islice(parsed, PAGE)):
        imported += letters.write(page, actor)
        total += len(page)
    return ImportReport(imported, total - imported)


def _parsed(number: int, line: str) -> Exported:
    try:
        exported = msgspec.json.decode(line, type=Exported)
        for text, kind in (
            (exported.letter.args, list),
            (exported.letter.kwargs, dict),
            (exported.letter.tags, dict[str, str]),
        ):
            if text is not None:
                msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidArguments(f"line {number} is no exported dead letter: {error}") from error
    letter = exported.letter
    if exported.format != FORMAT:
        raise InvalidArguments(f"line {number} has the format {exported.format!r}; this release reads {FORMAT!r}")
    if letter.status not in STATUSES or letter.reason not in list(DeadReason):
        raise InvalidArguments(f"line {number}: status {letter.status!r} or reason {letter.reason!r} is not known")
    return exported

"""What can go wrong with stored bytes; all derive from :class:`~perdure.errors.PerdureError`."""

from __future__ import annotations

from perdure.errors import PerdureError


class StoreError(PerdureError):
    """Base of all errors of checkpoint and blob stores."""


class InvalidRecord(StoreError, ValueError):
    """A checkpoint cannot be stored as it is described (its name, version or size); nothing was written."""


class CorruptRecord(StoreError):
    """Stored bytes are not the record that was written there: flipped, cut short, swapped or forged.

    Attributes:
        reason: what the reader found, in a few words (``"checksum"``, ``"misplaced: ..."``, ...).
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what} is damaged ({reason}); the version before it is used. "
            "Look for a failing disk or a foreign writer, and run: perdure checkpoints verify"
        )
        self.what, self.reason = what, reason


class StaleWrite(StoreError):
    """A newer version is stored already: the writer lost its lease, or used a version twice. Nothing was replaced."""

    def __init__(self, what: str, tried: tuple[int, int], stored: tuple[int, int]) -> None:
        if tried == stored:
            found = "holds other data under that version; every save needs a new seq"
        else:
            found = f"holds fence {stored[0]} seq {stored[1]}, which is newer; stop this attempt, another one goes on"
        super().__init__(f"{what}: save of fence {tried[0]} seq {tried[1]} refused: the store {found}")
        self.tried, self.stored = tried, stored


class StoreUnavailable(StoreError):
    """A store cannot be reached, or refuses to work; what it holds is not changed by this call."""


class StoreFull(StoreUnavailable):
    """A store has no room left; nothing of the refused write is visible."""


class InsufficientReplicas(StoreUnavailable):
    """Fewer stores answered than the quorum needs.

    Attributes:
        answered: number of stores that answered.
        needed: the quorum.
        failures: why each of the others did not count, by store name.
    """

    def __init__(self, action: str, answered: int, needed: int, failures: dict[str, str]) -> None:
        why = "; ".join(f"{name}: {reason}" for name, reason in sorted(failures.items())) or "no details"
        super().__init__(
            f"{action}: {answered} of the needed {needed} stores answered ({why}). "
            "It can be tried again when enough stores are back."
        )
        self.answered, self.needed, self.failures = answered, needed, failures


class MissingKey(StoreError):
    """Something was sealed with a key that this process does not have. Nothing is lost: add the key and try again."""


class Undecipherable(StoreError):
    """A sealed value was changed, or put into another value's place; the key is there."""


class BlobNotFound(StoreError, LookupError):
    """The blob store holds nothing under that reference."""


class CorruptBlob(StoreError):
    """The bytes under a reference do not have its hash."""


class CursorMismatch(StoreError, ValueError):
    """A stored cursor does not fit the source that is to be resumed from it."""


class LetterUnopened(StoreError):
    """A dead letter's arguments are sealed or offloaded, and this process cannot open them. The letter stays as it is."""

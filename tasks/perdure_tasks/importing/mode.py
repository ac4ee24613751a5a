"""What becomes of a row whose key is there already: mode ``append`` rejects it, mode ``upsert`` replaces what is there."""

from __future__ import annotations

from typing import Literal

Mode = Literal["append", "upsert"]

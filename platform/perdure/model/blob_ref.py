"""The reference that stands in place of a value that was offloaded: the hash of its content."""

from __future__ import annotations

import re
from typing import Final

from perdure.model.text.storable import SEALED

#: How a reference begins.
BLOB: Final = "blob:sha256:"
REF: Final = re.compile(rf"{BLOB}([0-9a-f]{{64}})")
#: How a column's text begins that is not the value itself: sealed, or a reference.
ELSEWHERE: Final = (SEALED, BLOB)

"""Where this package is on the disk."""

from __future__ import annotations

import os

#: The folder of the package ``perdure``, with a separator at its end.
PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep

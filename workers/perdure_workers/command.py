"""What the script ``perdure`` runs: the command line, or what to install for it."""

from __future__ import annotations

import sys

from perdure.system.extras import MissingExtra, extra


def main() -> None:
    """Run the command line and exit."""
    try:
        with extra("worker", "the command line"):
            from perdure_workers.cli import main as run
    except MissingExtra as error:
        sys.exit(str(error))
    run()

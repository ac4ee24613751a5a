"""The command line: ``perdure``."""

from perdure_workers.cli.main import main

__all__ = ["main"]

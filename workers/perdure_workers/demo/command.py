"""``perdure demo``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click

from perdure_workers.cli.loading import Context, pass_context


@click.command()
@click.option("--tree", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Archive this folder.")
@click.option("--keep", is_flag=True, help="Let the platform run on, to look at it in Flower.")
@click.option("--seed", default=1, show_default=True, help="What decides which deliveries fail.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON for scripts.")
@pass_context
def demo(context: Context, tree: Path | None, keep: bool, seed: int, as_json: bool) -> None:
    """Watch real jobs run while a worker is killed; exit code 1 if a promise is broken."""
    from perdure_workers.demo.data import default_tree
    from perdure_workers.demo.demo import run_demo

    home = Path(context.home or tempfile.mkdtemp(prefix="perdure-demo-"))
    try:
        sys.exit(run_demo(home, tree or default_tree(), keep, seed, as_json=as_json))
    finally:
        if context.home is None and not keep:
            shutil.rmtree(home)

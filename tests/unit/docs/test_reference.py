"""The reference pages say what the code says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_pages_are_current_write_them_with_docs_reference_py() -> None:
    reference = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    assert (ROOT / "docs" / "settings.md").read_text() == reference["settings_page"]()
    assert (ROOT / "docs" / "cli.md").read_text() == reference["cli_page"]()
    assert (ROOT / "docs" / "metrics.md").read_text() == reference["metrics_page"]()

"""The pictures that are drawn show what they are drawn from."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_picture_of_the_layers_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("layers", ROOT / "docs" / "layers.py")
    assert spec is not None
    assert spec.loader is not None
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    assert layers.PICTURE.read_text() == layers.drawn(), "run: python docs/layers.py"


def test_the_plot_of_rates_shows_the_table_of_performance_md() -> None:
    plot = runpy.run_path(str(ROOT / "docs" / "plot.py"))
    assert plot["PICTURE"].read_text() == plot["drawn"](), "run: python docs/plot.py"

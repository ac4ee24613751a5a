"""A Flower of perdure's for tests of its pages, and who may sign in there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perdure import Perdure
from support.cluster import PERDURE
from support.flowers import FlowerProcess, flower_process

OPERATOR, VIEWER = ("perdure", "secret, with comma"), ("vera", "may-look")


@dataclass
class Site:
    """Flower, its application, and how to start more of them."""

    app: Perdure
    flower: FlowerProcess
    environment: dict[str, str]
    folder: Path

    def another(self, *options: str, prefix: str = "") -> Any:
        command = [str(PERDURE), "-A", "flower_site", "flower", *options]
        return flower_process(command, self.folder, self.environment, OPERATOR, prefix)

"""Templates of perdure first, then Flower's: so perdure's tabs replace Flower's, and its pages stand on Flower's base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tornado.template import Loader, Template

HERE = Path(__file__).parent
OWN = HERE / "templates"
STATIC = HERE / "static"


class TwoFolders(Loader):
    """Loads templates from perdure's folder, and what is not there from Flower's.

    Args:
        flowers: Flower's folder of templates.
    """

    def __init__(self, flowers: str, **kwargs: Any) -> None:
        super().__init__(str(OWN), **kwargs)
        self._flowers = flowers

    def _create_template(self, name: str) -> Template:
        folder = OWN if (OWN / name).exists() else Path(self._flowers)
        return Template((folder / name).read_bytes(), name=name, loader=self)

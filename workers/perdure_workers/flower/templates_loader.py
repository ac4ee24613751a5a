"""Templates of perdure first, then Flower's: so perdure's tabs replace Flower's, and its pages stand on Flower's base."""

from __future__ import annotations

from pathlib import Path

from tornado.escape import to_unicode, xhtml_escape
from tornado.template import Loader, Template

from perdure.model.text.safe import many_lines

HERE = Path(__file__).parent
OWN = HERE / "templates"
STATIC = HERE / "static"


class TwoFolders(Loader):
    """Loads templates from perdure's folder, and what is not there from Flower's.

    Args:
        flowers: Flower's folder of templates.
    """

    def __init__(self, flowers: str) -> None:
        super().__init__(str(OWN), autoescape="shown_as_text", namespace={"shown_as_text": shown_as_text})
        self._flowers = flowers

    def _create_template(self, name: str) -> Template:
        folder = OWN if (OWN / name).exists() else Path(self._flowers)
        return Template((folder / name).read_bytes(), name=name, loader=self)


def shown_as_text(value: str | bytes) -> str:
    """Return what a page shows of a value: text and never markup, and what turns or hides other text as an escape."""
    return xhtml_escape(many_lines(to_unicode(value).replace("\r\n", "\n")))

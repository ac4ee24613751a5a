"""What perdure's pages lean on in Flower: this fails when a new version of Flower has changed it.

Then compare: our ``navbar.html`` takes the place of Flower's, ``perdure_base.html`` fills its blocks, ``server.py`` and
``guard.py`` override its application, and ``perdure.css`` uses its colours.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import flower
import pytest
from celery.events import EventReceiver
from flower import command, events
from flower.app import Flower, rewrite_handler
from flower.views import BaseHandler
from tornado.options import options

from perdure_workers.flower.stock import INLINE
from perdure_workers.flower.templates_loader import OWN, STATIC

FLOWER = Path(flower.__file__).parent
#: What this release of perdure was compared with.
COMPARED = "2.2"
#: Ours is a copy of it with other tabs.
INLINE_SCRIPT = re.compile(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", re.DOTALL)
NAVBAR = "2c0d5ff17f86a62e30b4ee8191245f4d6bcf808f8ff078f8d3d684edefa04949"


def test_version_is_one_that_was_compared() -> None:
    assert ".".join(version("flower").split(".")[:2]) == COMPARED


def test_navbar_that_ours_replaces_is_as_it_was() -> None:
    assert hashlib.sha256((FLOWER / "templates" / "navbar.html").read_bytes()).hexdigest() == NAVBAR


def test_base_template_has_the_blocks_that_are_filled() -> None:
    filled = set(re.findall(r"{% block (\w+) %}", (OWN / "perdure_base.html").read_text())) - {"name", "body"}
    assert filled <= set(re.findall(r"{% block (\w+) %}", (FLOWER / "templates" / "base.html").read_text()))


@pytest.mark.parametrize("kind", ["flower", "bs"])
def test_stylesheets_have_the_colours_that_are_used(kind: str) -> None:
    used = set(re.findall(rf"var\((--{kind}-[a-z-]+)", (STATIC / "perdure.css").read_text()))
    sheets = "".join(file.read_text() for file in (FLOWER / "static" / "css").glob("*.css"))
    assert used
    assert {name for name in used if f"{name}:" not in sheets} == set()


def test_application_is_made_and_asked_as_it_was() -> None:
    assert "rewrite_handler" in inspect.getsource(Flower.__init__)
    assert rewrite_handler is not None
    assert "Flower(" in inspect.getsource(command)  # which name the command looks up
    assert hasattr(Flower, "find_handler")
    for name in ("check_xsrf_cookie", "get_current_user", "write_error", "set_default_headers"):
        assert callable(getattr(BaseHandler, name))


def test_what_is_mended_is_where_it_was() -> None:
    assert "recv = EventReceiver(" in inspect.getsource(events.Events.run)
    assert "self._receive" in inspect.getsource(EventReceiver.get_consumers)
    assert "HTTPServer(" in inspect.getsource(Flower.start_http_server)
    scripts = [
        script for page in (FLOWER / "templates").glob("*.html") for script in INLINE_SCRIPT.findall(page.read_text())
    ]
    assert [re.sub(r"\s*\n\s*", "\n", script) for script in scripts] == ["\nvar autorefresh = {{ autorefresh }};\n"]
    assert [script.replace("0", "1") for script in INLINE] == [INLINE[1]] * 2


@pytest.mark.parametrize("name", ["basic_auth", "url_prefix", "read_only", "address", "port", "xheaders"])
def test_options_are_there(name: str) -> None:
    assert name in options

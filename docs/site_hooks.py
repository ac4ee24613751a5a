"""How mkdocs reads this folder: pages say the same on a code host and on the site.

README.md, CHANGELOG.md and the like are pages of the site too, links to files that are none become their text, and
what stands in comments (blocks that docs/check.py runs and nobody reads) is left out. A page that mkdocs.yml does not
name is under "More". The page of the Python API is made from what ``perdure`` exports, and filled from docstrings.
"""

from __future__ import annotations

import importlib
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
#: Pages of the site that are files of the folder above.
ABOVE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/README.md": "examples.md",
}
#: What applications import, in the order of the page.
PUBLIC = ("perdure", "perdure.resilience", "perdure.stores", "perdure.errors")
LINK = re.compile(r"(?<!!)\[(?P<text>(?:`[^`]*`|[^\]`])*)\]\((?P<target>(?!\w+:|#)[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
IMAGE = re.compile(r"(?P<before>!\[[^\]]*\]\(|\bsrc=\"|\bhref=\")(?P<target>(?!\w+:|#)[^)\"#]+)")
COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)
#: Names in docstrings as Sphinx marks them.
ROLE = re.compile(r":(?:class|meth|func|attr|data|exc|mod):<code>~?")
#: Fences and what is in them stay as they are.
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages to the navigation that it does not name."""
    assert config.nav is not None
    here = Path(config.docs_dir)
    others = sorted({str(path.relative_to(here)) for path in here.rglob("*.md")} - {*_pages(config.nav)})
    config.nav += [{"More": others}] if others else []
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of this folder."""
    for name, page in ABOVE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    files.append(File.generated(config, "api.md", content=api_page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Return a page's text without comments, its links leading to pages of the site."""
    source = page.file.src_uri
    above = {page: name for name, page in ABOVE.items()}
    here = above.get(source, f"docs/{source}")
    parts = FENCED.split(COMMENT.sub("", markdown))
    return "".join(part if part.startswith("```") else _linked(part, here, source) for part in parts)


def on_page_content(html: str, **_: object) -> str:
    """Return a page's HTML without Sphinx' marks."""
    return ROLE.sub("<code>", html)


def api_page() -> str:
    """Return the page of the Python API: each public name once, where it is exported first."""
    lines, seen = ["# Python", ""], set()
    for module in PUBLIC:
        lines += [f"## `{module}`", ""]
        for name in _exported(module):
            if name not in seen:
                lines += [f"::: {module}.{name}", ""]
            seen.add(name)
    return "\n".join(lines)


def _pages(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from _pages(part)


def _exported(module: str) -> list[str]:
    loaded = importlib.import_module(module)
    errors = [name for name, value in vars(loaded).items() if isinstance(value, type) and issubclass(value, Exception)]
    return getattr(loaded, "__all__", errors)


def _linked(text: str, here: str, page: str) -> str:
    def link(match: re.Match[str]) -> str:
        target = _page_of(match["target"], here, page)
        return match["text"] if target is None else f"[{match['text']}]({target}{match['anchor'] or ''})"

    def image(match: re.Match[str]) -> str:
        return f"{match['before']}{_page_of(match['target'], here, page)}"

    return IMAGE.sub(image, LINK.sub(link, text))


def _page_of(target: str, here: str, page: str) -> str | None:
    """Return where a link of a file of the repository leads on the site; None to a file that is no page.

    Raises:
        PluginError: There is no such file.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
    if path in ABOVE:
        found = ABOVE[path]
    elif not (ROOT / path).exists():
        raise PluginError(f"{here} links to {target}, and there is no {path}")
    elif not path.startswith("docs/"):
        return None
    else:
        found = path.removeprefix("docs/")
    return posixpath.relpath(found, posixpath.dirname(page) or ".")

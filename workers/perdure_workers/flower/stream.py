"""Live updates: each open page holds one connection; pages that show the same share one look at the ledger a second."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from perdure_workers.flower import formatting
from perdure_workers.flower.handler import PageHandler
from perdure_workers.flower.page import Page

if TYPE_CHECKING:
    from perdure_workers.flower.site import Site

logger = logging.getLogger("perdure.flower")

#: Seconds between two looks at what a page shows.
PERIOD = 1.0
#: Streams that one user holds at once: browsers open six to one server.
MOST_OF_USER = 60
#: Pages that are watched at once; a browser that asks for more is told to come back.
MOST_WATCHES = 200


class Watches:
    """What open pages show, read once for all that show the same."""

    def __init__(self, server: Site) -> None:
        self._server = server
        self._watches: dict[tuple[str, frozenset[tuple[str, str]]], _Watch] = {}
        self._users: Counter[str] = Counter()

    @contextmanager
    def place_of(self, user: str) -> Iterator[None]:
        """Hold one of a user's places for as long as a block runs.

        Raises:
            HTTPError: The user holds too many.
        """
        if self._users[user] >= MOST_OF_USER:
            raise HTTPError(503, "you have too many pages open")
        self._users[user] += 1
        try:
            yield
        finally:
            self._users[user] -= 1

    @contextmanager
    def joined(self, page: type[Page], question: Mapping[str, str]) -> Iterator[_Watch]:
        """Give what looks at a page's facts to a block."""
        watch = self._join(page, question)
        try:
            yield watch
        finally:
            watch.leave()

    def _join(self, page: type[Page], question: Mapping[str, str]) -> _Watch:
        key = (page.name, frozenset(question.items()))
        watch = self._watches.get(key)
        if watch is None:
            if len(self._watches) >= MOST_WATCHES:
                raise HTTPError(503, "too many pages are open")
            watch = self._watches[key] = _Watch(self._server, page, question, lambda: self._watches.pop(key, None))
        watch.readers += 1
        return watch


class _Watch:
    """Looks at one page's facts as long as somebody reads them."""

    def __init__(self, server: Site, page: type[Page], question: Mapping[str, str], on_end: Any) -> None:
        self._server, self._page, self._question, self._on_end = server, page, question, on_end
        self.readers = 0
        self.facts: dict[str, Any] | None = None
        self._failing = False
        self._news = asyncio.Condition()
        self._task = asyncio.ensure_future(self._run())

    async def next(self) -> dict[str, Any] | None:
        """Wait for the next look, and return the facts; None when they cannot be had now."""
        async with self._news:
            await self._news.wait()
        return self.facts

    def leave(self) -> None:
        """Stop reading; the last reader ends the watch."""
        self.readers -= 1
        if not self.readers:
            self._task.cancel()
            self._on_end()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                self.facts = await IOLoop.current().run_in_executor(
                    self._server.facts_pool, lambda: self._page.facts(self._server, self._question)
                )
            except Exception as error:  # noqa: BLE001 - the page keeps what it has and says that it is old
                if not self._failing:  # once, and not each second
                    logger.warning("what page %s shows cannot be read: %s", self._page.name, error)
                self.facts = None
            self._failing = self.facts is None
            async with self._news:
                self._news.notify_all()


class Stream(PageHandler):
    """Sends a page's changed parts as server-sent events, and each second that it has looked."""

    def initialize(self, pages: Mapping[str, type[Page]], watches: Watches) -> None:
        """Take the pages that can be watched, and what is shown of them."""
        self._pages = pages
        self._watches = watches
        self._sending: asyncio.Task[Any] | None = None

    @authenticated
    async def get(self, name: str) -> None:
        """Send the page's live parts whenever they change, until the browser goes away."""
        page = self._pages.get(name)
        if page is None:
            raise HTTPError(404, "no such page")
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")  # nginx would hold events back
        question = page.question(self, self.get_query_argument("of", None))
        with self._watches.place_of(self.user), self._watches.joined(page, question) as watch:
            self._sending = asyncio.ensure_future(self._send_changes(page, question, watch))
            with suppress(StreamClosedError, asyncio.CancelledError):
                await self._sending

    def on_connection_close(self) -> None:
        """Stop at once when the browser goes away, and not at the next event."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send_changes(self, page: type[Page], question: Mapping[str, str], watch: _Watch) -> None:
        last = ""
        await self._send("retry: 2000\n\n")
        while True:
            facts = await watch.next()
            if facts is None:
                await self._send("event: lost\ndata:\n\n")
                continue
            html, at = self._rendered(page, question, facts), formatting.moment(datetime.now(UTC))
            event, news = ("looked", [at]) if html == last else ("update", [at, html])
            await self._send(f"event: {event}\ndata: {json.dumps(news)}\n\n")
            last = html

    def _rendered(self, page: type[Page], question: Mapping[str, str], facts: dict[str, Any]) -> str:
        common = {**self.common(), "url_prefix": self.server.options.url_prefix, "question": question}
        html: bytes = self.render_string(page.live, **common, **facts)
        return html.decode()

    async def _send(self, text: str) -> None:
        self.write(text)
        await self.flush()

"""The URL of a broker that speaks AMQP: one host, or all nodes of a RabbitMQ cluster."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

SCHEMES = ("amqp", "amqps", "pyamqp")
_PARTS = re.compile(r"(?P<before>\w+://(?:[^/?]*@)?)(?P<hosts>[^/?@]*)(?P<behind>.*)")


def is_amqp(url: str) -> bool:
    """Tell whether a URL names a broker that speaks AMQP."""
    return url.partition("://")[0] in SCHEMES


def amqp_urls(url: str) -> list[str]:
    """Return a URL for each host of ``amqp://USER:PASSWORD@HOST:PORT,HOST:PORT/VHOST``, in their order.

    Raises:
        ValueError: A host or a port makes no sense; the message shows no part of the URL.
    """
    found = _PARTS.fullmatch(url)
    urls = [found["before"] + host + found["behind"] for host in found["hosts"].split(",")] if found else [url]
    for each in urls:
        _check(each)
    return urls


def _check(url: str) -> None:
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port must be a number from 1 to 65535 (in a password, write / as %2F, @ as %40, : as %3A)")
    if not found.hostname:
        raise ValueError("the host is missing: write it like amqp://USER:PASSWORD@HOST:5672/VHOST")

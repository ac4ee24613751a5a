"""How a request gets to a URL: to one of the host's allowed addresses, or through the proxy of the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx

from perdure_tasks.public_hosts import peers


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a URL.

    Attributes:
        url: Where to connect: the URL with an address in place of its host, or, through a proxy, the URL itself.
        host: The ``Host`` header.
        is_shown: Whether the answer may be shown to people: it comes from the public internet for certain.
        proxy: The proxy's URL.
        extensions: For httpx: the name for which the receiver's certificate must be.
    """

    url: httpx.URL
    host: str
    is_shown: bool
    proxy: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)


def routes(url: httpx.URL) -> list[Route]:
    """Return the ways to a URL, in the order in which the resolver has the host's addresses.

    Raises:
        Discard: The host's address is not public, and not allowed by the worker's operator.
        OSError: The host has no address, or that cannot be found out now.
    """
    host = url.netloc.decode("ascii")
    proxies = getproxies()
    proxy = None if proxy_bypass(url.host) else proxies.get(url.scheme) or proxies.get("all")
    if proxy:
        return [Route(url, host, is_shown=False, proxy=proxy)]
    name = {"sni_hostname": url.raw_host.decode("ascii")}
    return [Route(url.copy_with(host=peer.address), host, peer.is_public, None, name) for peer in peers(url.host)]

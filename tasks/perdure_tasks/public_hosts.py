"""Which hosts a webhook may go to: public addresses, and private ones that the workers' operator names.

Whoever chooses a URL makes the worker send a request there, from inside of the network. A name is resolved here once and
the connection goes to the address that was looked at, so that a name cannot mean another address in between.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from perdure import Discard

Address = IPv4Address | IPv6Address

ALLOWED = "PERDURE_WEBHOOK_PRIVATE_HOSTS"
"""The worker's environment variable: names, addresses and networks (``hooks.internal, 10.1.0.0/16``) that are allowed."""

#: Networks of IPv6 whose addresses stand for one of IPv4 in their last bits: IPv4-compatible, translated, NAT64.
_LAST_BITS = [ip_network(each) for each in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")]
#: What ``is_global`` does not know, or not in each Python: metadata services of Azure and Oracle, NAT64 of local use,
#: the old site-local addresses.
_NOT_PUBLIC = [ip_network(each) for each in ("168.63.129.16/32", "192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10")]


@dataclass(frozen=True, slots=True)
class Peer:
    """An address to connect to."""

    address: str
    is_public: bool


def peers(host: str) -> list[Peer]:
    """Return the addresses of a host that a webhook may go to.

    Args:
        host: A name or an address.

    Raises:
        Discard: The host has addresses, and none that is allowed.
        OSError: It has none, or that cannot be found out now.
    """
    addresses = _resolved(host)
    found = [Peer(str(each), is_public(each)) for each in addresses]
    names, networks = _allowed()
    if host.rstrip(".").lower() in names:
        return found
    usable = [
        peer
        for peer, address in zip(found, addresses, strict=True)
        if peer.is_public or any(_plain(address) in network or address in network for network in networks)
    ]
    if not usable:
        raise Discard(
            f"{host!r:.200} is no public address. Webhooks go to private ones only where the workers' environment names "
            f"them: {ALLOWED}."
        )
    return usable


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public internet, also what it stands for when it embeds another one."""
    plain = _plain(address)
    if plain.is_multicast or plain.is_reserved or any(plain in network for network in _NOT_PUBLIC):
        return False
    return plain.is_global


def _plain(address: Address) -> Address:
    """Return the address of IPv4 that one of IPv6 stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network in _LAST_BITS) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


def _resolved(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(sockaddr[0])) for *_, sockaddr in found))


def _allowed() -> tuple[set[str], list[IPv4Network | IPv6Network]]:
    """Return the allowed names and networks; what is no network is a name."""
    names: set[str] = set()
    networks: list[IPv4Network | IPv6Network] = []
    for each in os.environ.get(ALLOWED, "").replace(",", " ").split():
        try:
            networks.append(ip_network(each, strict=False))
        except ValueError:
            names.add(each.rstrip(".").lower())
    return names, networks

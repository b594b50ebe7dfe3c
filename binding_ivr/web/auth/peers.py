"""Whose word about a client is believed: the listed proxies. It opens no connection."""

import ipaddress
from collections.abc import Iterable

from aiohttp import hdrs, web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Peers:
    """The addresses and networks of trusted proxies."""

    def __init__(self, listed: Iterable[str]) -> None:
        """*listed* are addresses or networks as in the configuration."""
        self._networks = [ipaddress.ip_network(text, strict=False) for text in listed]

    def trusts(self, text: str) -> bool:
        """Return whether the peer *text* is a listed proxy."""
        address = _address(text)
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )

    def client(self, request: web.Request) -> str:
        """The client's address: the peer, or the last address of X-Forwarded-For that is no trusted proxy."""
        client = request.remote or ""
        hops = [hop.strip() for line in request.headers.getall(hdrs.X_FORWARDED_FOR, ()) for hop in line.split(",")]
        while self.trusts(client) and hops:
            hop = _address(hops.pop())
            if hop is None:
                break
            client = str(hop)
        return client

    def over_tls(self, request: web.Request) -> bool:
        """Return whether a trusted proxy took the request over TLS."""
        return self.trusts(request.remote or "") and request.headers.get(hdrs.X_FORWARDED_PROTO, "") == "https"


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address

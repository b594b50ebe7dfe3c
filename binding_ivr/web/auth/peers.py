"""Whose word about a client is believed: the listed proxies. It opens no connection."""

import ipaddress
from collections.abc import Iterable
from functools import cache

from aiohttp import hdrs, web

from binding_ivr.config import Web
from binding_ivr.web.settings import CONFIG

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Peers:
    """The addresses and networks of trusted proxies, and the address at which users reach the page."""

    def __init__(self, listed: Iterable[str], public_url: str = "") -> None:
        """*listed* are addresses or networks, *public_url* an address or empty, as in the configuration."""
        self._networks = [ipaddress.ip_network(text, strict=False) for text in listed]
        self._public_https = public_url.lower().startswith("https:")

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
        """Return whether the browser speaks https: by `public_url`, or as a trusted proxy says.

        Of several values (`https,http`: each proxy of a chain added its own) the first is what the browser spoke. A
        client may write that one itself, but no other site can have its visitors' browsers do so.
        """
        if self._public_https or request.secure:
            return True
        spoken = ",".join(request.headers.getall(hdrs.X_FORWARDED_PROTO, ())).partition(",")[0]
        return self.trusts(request.remote or "") and spoken.strip().lower() == "https"


@cache
def peers_of(config: Web) -> Peers:
    """The peers of `[web]`."""
    return Peers(config.trusted_proxies, config.public_url)


def is_https(request: web.Request) -> bool:
    """Return whether the browser that sent *request* speaks https."""
    return peers_of(request.app[CONFIG].web).over_tls(request)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address

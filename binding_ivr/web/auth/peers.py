"""Whose word about a client is believed: the listed proxies, if they know their secret. It opens no connection."""

import hmac
import ipaddress
from collections.abc import Iterable
from functools import cache

from aiohttp import hdrs, web

from binding_ivr.config import Web
from binding_ivr.model.addresses import address_of
from binding_ivr.web.settings import CONFIG

PROOF = "X-Proxy-Secret"
"""The header in which a proxy shows that it is one."""


class Peers:
    """The addresses and networks of trusted proxies, and the address at which users reach the page."""

    def __init__(self, listed: Iterable[str], public_url: str = "", secret: str = "") -> None:
        """*listed* are addresses or networks, *public_url* an address or empty, as in the configuration.

        Without *secret* the address is enough: then every program on the proxy's machine is believed as well.
        """
        self._secret = secret
        self._networks = [ipaddress.ip_network(text, strict=False) for text in listed]
        self._public_https = public_url.lower().startswith("https:")

    def trusts(self, request: web.Request) -> bool:
        """Return whether a listed proxy sent *request*."""
        if not self.lists(request.remote or ""):
            return False
        if not self._secret:
            return True
        said = [text.encode("utf-8", "surrogateescape") for text in request.headers.getall(PROOF, ())]
        return len(said) == 1 and hmac.compare_digest(said[0], self._secret.encode())

    def lists(self, text: str) -> bool:
        """Return whether *text* is the address of a proxy that is listed."""
        address = address_of(text)
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )

    def client(self, request: web.Request) -> str:
        """The client's address: the peer, or the last address of X-Forwarded-For that is no trusted proxy."""
        client = request.remote or ""
        hops = [hop.strip() for line in request.headers.getall(hdrs.X_FORWARDED_FOR, ()) for hop in line.split(",")]
        trusted = self.trusts(request)
        while trusted and hops:
            hop = address_of(hops.pop())
            if hop is None:
                break
            client = str(hop)
            trusted = self.lists(client)
        return client

    def over_tls(self, request: web.Request) -> bool:
        """Return whether the browser speaks https: by `public_url`, or as a trusted proxy says.

        Of several values (`https,http`: each proxy of a chain added its own) the first is what the browser spoke. A
        client may write that one itself, but no other site can have its visitors' browsers do so.
        """
        if self._public_https or request.secure:
            return True
        spoken = ",".join(request.headers.getall(hdrs.X_FORWARDED_PROTO, ())).partition(",")[0]
        return self.trusts(request) and spoken.strip().lower() == "https"


@cache
def peers_of(config: Web) -> Peers:
    """The peers of `[web]`."""
    return Peers(config.trusted_proxies, config.public_url, config.proxy_secret)


def is_https(request: web.Request) -> bool:
    """Return whether the browser that sent *request* speaks https."""
    return peers_of(request.app[CONFIG].web).over_tls(request)

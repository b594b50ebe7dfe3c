"""Network addresses as what they are, and as what a client is counted by. It looks nothing up."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

CLIENT_BITS = 64
"""The part of an IPv6 address that one customer has: the rest is theirs to choose."""


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address *text* without its zone, IPv4 mapped to IPv6 as IPv4; None for no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def client_of(text: str) -> str | None:
    """Return what the client at the address *text* is counted by: the address, of IPv6 its /64. None for no address.

    Whoever counts by address (rates, limits, the throttles of sign-ins and of the audit) counts by this: else one
    customer of a provider has 2^64 of them.
    """
    address = address_of(text)
    if address is None or address.version == 4:
        return None if address is None else str(address)
    return str(IPv6Network((int(address) >> CLIENT_BITS << CLIENT_BITS, CLIENT_BITS)))

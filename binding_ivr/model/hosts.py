"""Which host names and addresses are this machine's own loopback."""

from ipaddress import ip_address


def is_local(host: str) -> bool:
    """Return whether *host* (a name, or an address with or without brackets) names this machine's loopback."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"

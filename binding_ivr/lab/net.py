"""Picks addresses and ports that are free. It holds none of them: what wants one binds it soon."""

import random
import resource
import socket
import threading

from binding_ivr.lab.errors import LabError

SIP_PORT = 5060
_given: set[tuple[str, int]] = set()
_lock = threading.Lock()
# The system's random source, because two labs may start from the same seed.
_chance = random.SystemRandom()


def is_free(address: str, port: int, kind: socket.SocketKind) -> bool:
    """Return whether *port* can be bound on *address*."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(address: str, preferred: int = 0) -> int:
    """Return a free TCP port on *address*: *preferred* when it can be had, else one from 20000 to 31999.

    That range lies below the one from which Linux takes the ports of outgoing connections. No port
    is given twice by one process until `release_port`.
    """
    with _lock:
        candidates = _chance.sample(range(20_000, 32_000), 200)
        for port in [preferred, *candidates] if preferred else candidates:
            if (address, port) not in _given and is_free(address, port, socket.SOCK_STREAM):
                _given.add((address, port))
                return port
    raise LabError(f"no free TCP port on {address}: stop what uses the ports 20000 to 31999")


def release_port(address: str, port: int) -> None:
    """Let *port* be given again."""
    with _lock:
        _given.discard((address, port))


def free_block() -> tuple[str, int]:
    """Return the first three parts of a loopback network, such as `127.83.7`, and a SIP port free in it.

    A network of its own gives each lab all ports, so two labs never meet. The port is 5060 unless
    somebody holds that on all addresses.
    """
    for attempt in range(60):
        block = f"127.{_chance.randint(16, 250)}.{_chance.randint(1, 250)}"
        port = SIP_PORT if attempt < 20 else _chance.randint(5070, 9000)
        if all(is_free(f"{block}.{host}", port, socket.SOCK_DGRAM) for host in range(1, 9)):
            return block, port
    raise LabError("no free loopback addresses: the lab needs 127.0.0.0/8 on the interface lo")


def open_files_limit() -> int:
    """Return how many files a process may open here, as far as a lab can use them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)

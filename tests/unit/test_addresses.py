"""A client is counted by what one customer has, wherever its address is a key."""

import ast

import pytest

from binding_ivr.model.addresses import address_of, client_of
from tests.unit.test_docs import ROOT


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", None),
        ("unix", None),
        ("192.0.2.7:80", None),
    ],
)
def test_what_a_client_is_counted_by(text: str, client: str | None) -> None:
    assert client_of(text) == client


def test_an_address_is_one_however_it_is_written() -> None:
    assert address_of("::ffff:192.0.2.7") == address_of("192.0.2.7")
    assert address_of("2001:DB8::1") == address_of("2001:db8:0::1")


def test_nobody_else_reads_clients_addresses() -> None:
    """One function, so that nobody can be somebody else by writing an address in another way."""
    readers = set()
    for path in (ROOT / "binding_ivr").rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        if names & {"ipv4_mapped", "sixtofour", "teredo"}:
            readers.add(path.name)
    assert readers == {"addresses.py"}

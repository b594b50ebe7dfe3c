"""Parts of the web without a network: rates, proxies, secrets, problems, access, and the description."""

import re
import time

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from openapi_spec_validator import OpenAPIV31SpecValidator

from binding_ivr.config import Config, Web
from binding_ivr.errors import ConfigError, NotFoundError, Refusal, UnavailableError
from binding_ivr.model.hosts import is_local
from binding_ivr.model.secrets import digest_of, new_key, split_key
from binding_ivr.web.api import schema
from binding_ivr.web.api.calls import OPERATIONS
from binding_ivr.web.api.openapi import document, statuses
from binding_ivr.web.auth.access import Access, authorize
from binding_ivr.web.auth.buckets import MOST, Buckets
from binding_ivr.web.auth.credentials import is_fresh
from binding_ivr.web.auth.identity import Identity
from binding_ivr.web.auth.jwks import read_keys
from binding_ivr.web.auth.peers import Peers
from binding_ivr.web.problems import Problem, problem_of
from tests.unit.test_docs import ROOT

DESCRIPTION = msgspec.json.decode(document(OPERATIONS))


# --- the description


def test_the_description_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DESCRIPTION).validate()


def test_the_description_has_every_call_of_the_table() -> None:
    described = {
        (method.upper(), path, call["operationId"])
        for path, calls in DESCRIPTION["paths"].items()
        for method, call in calls.items()
    }
    assert described == {(op.method, op.path, op.name) for op in OPERATIONS}
    assert len({op.name for op in OPERATIONS}) == len(OPERATIONS)
    assert len({(op.method, op.path) for op in OPERATIONS}) == len(OPERATIONS)


def test_every_call_is_on_the_page_about_the_api() -> None:
    page = (ROOT / "docs/api.md").read_text()
    for operation in OPERATIONS:
        path = operation.path.replace("/v1/accounts/{account}/users/{user_id}/binding", "…/binding")
        assert f"`{operation.method} {path}`" in page, operation.name


def test_what_may_be_asked_refuses_unknown_fields() -> None:
    for operation in OPERATIONS:
        for kind in (operation.body, operation.query):
            assert kind is None or kind.__struct_config__.forbid_unknown_fields, operation.name


def test_no_list_for_administrators_has_a_code() -> None:
    assert "code" not in schema.AttemptEntry.__struct_fields__
    assert "code" not in schema.Lookup.__struct_fields__


def test_every_call_may_be_refused_without_a_sign_in_and_when_postgresql_is_away() -> None:
    for operation in OPERATIONS:
        assert {401, 429, 503} <= set(statuses(operation))


# --- rates


def test_a_bucket_gives_a_burst_and_then_a_rate() -> None:
    now = [100.0]
    buckets = Buckets(2.0, lambda: now[0])
    assert [buckets.wait("a") for _ in range(20)] == [0.0] * 20
    assert buckets.wait("a") == pytest.approx(0.5)
    assert buckets.wait("b") == 0
    now[0] += 0.5
    assert buckets.wait("a") == 0
    assert buckets.wait("a") > 0
    now[0] += 1000
    assert [buckets.wait("a") for _ in range(21)][-1] > 0


def test_the_table_of_buckets_is_bounded() -> None:
    buckets = Buckets(1.0, lambda: 0.0)
    for n in range(MOST + 100):
        buckets.wait(f"{n}")
    assert len(buckets._table) == MOST


# --- proxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_whose_word_about_the_client_is_believed(peer: str, forwarded: str, client: str) -> None:
    peers = Peers(["10.0.0.0/8"])
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}).clone(remote=peer)
    assert peers.client(request) == client


@pytest.mark.parametrize(("text", "trusted"), [("fe80::1%eth0", True), ("fe81::1", False), ("x", False), ("", False)])
def test_listed_networks(text: str, trusted: bool) -> None:
    request = make_mocked_request("GET", "/").clone(remote=text)
    assert Peers(["fe80::/16"]).trusts(request) is trusted


HUSH = "a secret of the proxy, 32 signs long"


@pytest.mark.parametrize(
    ("said", "trusted"),
    [([HUSH], True), ([], False), ([""], False), ([HUSH.upper()], False), ([HUSH, HUSH], False)],
)
def test_a_proxy_with_a_secret_is_believed_by_it_alone(said: list[str], trusted: bool) -> None:
    """Every program of the proxy's machine has its address."""
    peers = Peers(["10.0.0.1"], secret=HUSH)
    sent = CIMultiDict([("X-Forwarded-For", "198.51.100.7, 10.0.0.1"), ("X-Forwarded-Proto", "https")])
    sent.extend(("X-Proxy-Secret", text) for text in said)
    request = make_mocked_request("GET", "/", headers=sent).clone(remote="10.0.0.1")
    assert peers.trusts(request) is peers.over_tls(request) is trusted
    assert peers.client(request) == ("198.51.100.7" if trusted else "10.0.0.1")
    stranger = request.clone(remote="10.0.0.2")  # who knows the secret and comes from elsewhere
    assert not peers.trusts(stranger)
    assert peers.client(stranger) == "10.0.0.2"


# --- secrets


def test_a_key_is_taken_apart_and_shows_nothing_of_itself() -> None:
    key = new_key()
    assert split_key(key.text) == (key.key_id, key.digest)
    assert key.text not in repr(key)
    assert len(key.text) > 55


@given(st.text())
def test_any_text_may_be_asked_for_as_a_key(text: str) -> None:
    parts = split_key("bik_" + text)
    assert parts is None or len(parts[1]) == 32
    assert len(digest_of(text)) == 32


# --- who may


@pytest.mark.parametrize(
    ("scopes", "access", "account", "status"),
    [
        ({"lookup"}, Access.LOOKUP, "a", 0),
        ({"lookup"}, Access.OWN, "a", 403),
        ({"account:a"}, Access.OWN, "a", 0),
        ({"account:a"}, Access.OWN, "b", 404),
        ({"account:a", "account:b"}, Access.OWN, "b", 0),
        ({"account:a"}, Access.ADMIN, None, 403),
        ({"account:a", "lookup"}, Access.LOOKUP, "b", 0),
        ({"admin"}, Access.ADMIN, None, 0),
        (set(), Access.OWN, "a", 403),
        ({"account:"}, Access.OWN, "a", 404),
    ],
)
def test_scopes(scopes: set[str], access: Access, account: str | None, status: int) -> None:
    identity = Identity("key", scopes=frozenset(scopes), name="k")
    found = 0
    try:
        authorize(identity, access, account, "1001")
    except Problem as problem:
        found = problem.status
    assert found == status


def test_a_user_named_like_a_scope_is_only_a_user() -> None:
    identity = Identity("user", account="default", user_id="admin")
    with pytest.raises(Problem):
        authorize(identity, Access.ADMIN, None, None)
    assert identity.caller != Identity("key", scopes=frozenset({"admin"}), name="default/admin").caller


def test_nobody_knows_when_a_proxys_user_signed_in() -> None:
    proxy = Identity("proxy", account="default", user_id="1")
    assert not is_fresh(proxy, 5)
    assert is_fresh(proxy, 0)
    assert is_fresh(Identity("key", name="k"), 5)


# --- problems


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refusal("not_valid", "x"), 422, "not_valid"),
        (Refusal("call_in_progress", "x"), 409, "call_in_progress"),
        (Refusal("try_later", "x"), 429, "try_later"),
        (Refusal("something_new", "x", limit="l", retry_at=1.0), 429, "something_new"),
        (NotFoundError("binding-ivr user add 1001"), 404, "not_found"),
        (UnavailableError("at secret.host"), 503, "unavailable"),
        (ConfigError("at secret.host"), 503, "out_of_order"),
    ],
)
def test_each_error_has_its_problem(error: Exception, status: int, code: str) -> None:
    assert isinstance(error, Refusal | NotFoundError | UnavailableError | ConfigError)
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert "secret" not in problem.detail
    assert "binding-ivr" not in problem.detail


def test_a_problem_is_never_too_early() -> None:
    at = time.time() + 10.2
    response = Problem(429, "x", "y", retry_at=at).response()
    assert response.headers["Retry-After"] == "11"
    assert response.content_type == "application/problem+json"


# --- published keys


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": {}}', b"\xff", b'{"keys": null}'])
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(ValueError, match="no key set"):
        read_keys(body)


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "alg": "RS256"},
        {"kty": 5},
        {},
    ],
)
def test_keys_that_are_not_taken(entry: dict[str, object]) -> None:
    assert read_keys(msgspec.json.encode({"keys": [entry, 5, None]})) == []


# --- the configuration


@pytest.mark.parametrize(("bind", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("", False)])
def test_loopback(bind: str, loopback: bool) -> None:
    assert is_local(bind) is loopback
    assert not is_local("0.0.0.0")
    assert not is_local("::")


def test_the_web_is_on_loopback_by_default() -> None:
    assert is_local(Config().web.bind)
    assert Web().trusted_proxies == ()


def test_cookies_are_set_and_read_in_one_place() -> None:
    """Whoever adds a cookie must not forget what keeps neighbours from setting it."""
    touching = {
        path.name
        for path in (ROOT / "binding_ivr/web").rglob("*.py")
        if re.search(
            r"set_cookie|del_cookie|request\.cookies|hdrs\.(SET_)?COOKIE|[\"'](Set-)?Cookie[\"']", path.read_text()
        )
    }
    assert touching == {"cookies.py"}

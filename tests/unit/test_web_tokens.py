"""Why user tokens are refused: the one right reason for each, and nothing that a stranger should not hear."""

import time
from collections.abc import Callable
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from binding_ivr.config import Auth
from binding_ivr.web.auth.jwks import KeySet, read_keys
from binding_ivr.web.auth.tokens import Tokens
from binding_ivr.web.problems import Problem

SECRET = "a secret for tests that is long enough"
ISSUER = "https://id.example"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
TIMES = ("iat", "nbf", "exp")
"""Given in seconds from now."""
CLAIMS = {"sub": "1001", "account": "default", "aud": "binding_ivr", "iss": ISSUER, "iat": 0, "exp": 300}
AHEAD = "its iat or nbf is more than 30 s ahead of the clock here"
FORM = "its form is wrong"
SIGNATURE = "its signature is wrong"


def published(key: Any, kid: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}


class Published(KeySet):
    """What an issuer has published, without the issuer."""

    def __init__(self) -> None:
        super().__init__("https://id.example/keys")
        listed = [published(RSA_KEY, "r"), published(OTHER_RSA_KEY, "other"), published(EC_KEY, "e")]
        self._keys = read_keys(msgspec.json.encode({"keys": listed}))

    async def key(self, algorithm: str, kid: str | None) -> jwt.PyJWK | None:
        self._good_at = self._clock()
        return self._find(algorithm, kid)


def signed(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **changed: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    now = int(time.time())
    claims |= {name: now + claims[name] for name in TIMES if isinstance(claims.get(name), int)}
    if not isinstance(claims.get("iss", ""), str):  # the library does not make such a token by its own door
        return jwt.api_jws.encode(msgspec.json.encode(claims), key, algorithm)
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else {})


REASONS: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: signed(exp=-31), "it has expired"),
    "iat ahead": (lambda: signed(iat=90), AHEAD),
    "nbf ahead": (lambda: signed(nbf=90), AHEAD),
    "another audience": (lambda: signed(aud="other"), "its aud must be binding_ivr"),
    "audience as a number": (lambda: signed(aud=5), "its aud must be binding_ivr"),
    "another issuer": (lambda: signed(iss="https://id.example.evil"), f"its iss must be {ISSUER}"),
    "issuer with a slash more": (lambda: signed(iss=ISSUER + "/"), f"its iss must be {ISSUER}"),
    "issuer as a list": (lambda: signed(iss=[ISSUER]), f"its iss must be {ISSUER}"),
    "no issuer": (lambda: signed(iss=None), "it lacks iss"),
    "no sub": (lambda: signed(sub=None), "it lacks sub"),
    "no account": (lambda: signed(account=None), "it lacks account"),
    "no aud": (lambda: signed(aud=None), "it lacks aud"),
    "no exp": (lambda: signed(exp=None), "it lacks exp"),
    "sub as a number": (lambda: signed(sub=1001), "its sub and account must be text in quotes"),
    "account as a number": (lambda: signed(account=7), "its sub and account must be text in quotes"),
    "sub that is no user id": (lambda: signed(sub="a/b"), "its sub or account does not name a user here"),
    "exp as text": (lambda: signed(exp="soon"), FORM),
    "iat as text": (lambda: signed(iat="now"), "its times are wrong"),
    "for a week": (lambda: signed(exp=7 * 86400), "it is valid for longer than a day"),
    "another secret": (lambda: signed("another secret that is just as long!"), SIGNATURE),
    "another published key": (lambda: signed(OTHER_RSA_KEY, "RS256", "r"), SIGNATURE),
    "unknown key": (lambda: signed(RSA_KEY, "RS256", "unknown"), "no key of its kind with its kid is published"),
    "key of another kind": (lambda: signed(RSA_KEY, "RS256", "e"), "no key of its kind with its kid is published"),
    "which of two keys": (
        lambda: signed(RSA_KEY, "RS256"),
        "it has no kid, and not just one key of its kind is published",
    ),
    "algorithm": (lambda: signed(SECRET * 2, "HS512"), "it must be signed with HS256 or RS256 or ES256"),
    "no algorithm": (lambda: signed(None, "none"), "it must be signed with HS256 or RS256 or ES256"),
    "no token": (lambda: "abc", FORM),
    "too long": (lambda: "a" * 7000, "it is too long"),
}
GOOD: dict[str, Callable[[], str]] = {
    "secret": lambda: signed(),
    "rsa": lambda: signed(RSA_KEY, "RS256", "r"),
    "the only key of its kind": lambda: signed(EC_KEY, "ES256"),
    "a clock that is a little ahead": lambda: signed(iat=20, nbf=20),
    "a clock that is a little behind": lambda: signed(exp=-10),
    "a list of audiences": lambda: signed(aud=["x", "binding_ivr"]),
    "jti as a number": lambda: signed(jti=5),
}


def tokens(**auth: Any) -> Tokens:
    return Tokens(Auth(jwt_secret=SECRET, jwks_url="https://id.example/keys", issuer=ISSUER, **auth), Published())


@pytest.mark.parametrize("name", REASONS)
async def test_a_refused_token_is_refused_for_the_right_reason(name: str) -> None:
    make, reason = REASONS[name]
    with pytest.raises(Problem) as caught:
        await tokens().check(make())
    assert (caught.value.status, caught.value.code) == (401, "bad_token")
    assert caught.value.detail.startswith(f"this user token is refused: {reason}"), caught.value.detail


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_token(name: str) -> None:
    found = await tokens().check(GOOD[name]())
    assert (found.account, found.user_id) == ("default", "1001")


@pytest.mark.parametrize("changed", [{"exp": -999}, {"aud": "x"}, {"iss": "x"}, {"sub": 5}, {"iat": 999}])
async def test_what_a_token_should_say_is_told_to_nobody_who_cannot_sign_one(changed: dict[str, Any]) -> None:
    with pytest.raises(Problem) as caught:
        await tokens().check(signed("another secret that is just as long!", **changed))
    assert SIGNATURE in caught.value.detail


async def test_without_an_issuer_none_is_looked_at() -> None:
    without = Tokens(Auth(jwt_secret=SECRET), None)
    for iss in (None, "https://anybody.example"):
        assert (await without.check(signed(iss=iss))).user_id == "1001"
    with pytest.raises(Problem, match=r"signed with HS256$"):
        await without.check(signed(RSA_KEY, "RS256", "r"))

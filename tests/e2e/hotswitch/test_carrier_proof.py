"""What a carrier says of a caller ID, signed (STIR/SHAKEN) or in a header, counts where it is asked for.

RFC 8224, RFC 8588; 3GPP TS 24.229 for verstat.
"""

import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.caller import Caller
from tests.e2e.hotswitch.scene import ACCESS, CELL, CUSTOMER, RING_S, options, trust, until_quiet
from tests.e2e.rig import Take, no_channels, pair, phones_of

TNAUTHLIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
REFUSED = 403


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, authority: bool
) -> bytes:
    """Make a certificate as PEM; one that is no *authority* may sign for telephone numbers."""
    now = datetime.now(UTC)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        # SEQUENCE { [0] IA5String "1234" }: a service provider code, RFC 8226 section 9
        builder = builder.add_extension(
            x509.UnrecognizedExtension(TNAUTHLIST, bytes.fromhex("3008a006160431323334")), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Carrier:
    """Signs caller IDs, and publishes its certificate."""

    def __init__(self, url: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.url = url
        self.key = key

    def identity(self, number: str, to: str, level: str, key: ec.EllipticCurvePrivateKey | None = None) -> list[str]:
        """The headers of a call that is signed with this attestation *level*."""
        claims = {
            "attest": level,
            "dest": {"tn": [to]},
            "iat": int(time.time()),
            "orig": {"tn": number.removeprefix("+")},
            "origid": str(uuid.uuid4()),
        }
        header = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": self.url}
        token = jwt.encode(claims, key or self.key, algorithm="ES256", headers=header, sort_headers=True)
        return [
            f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}",
            f'Identity: {token};info=<{self.url}>;alg=ES256;ppt="shaken"',
        ]


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        await trust(running, "1001", CELL)
        await running.pbx.rx(f"dialplan set global HOTSWITCH_RING {RING_S}")
        yield running


@pytest.fixture(scope="module")
async def carrier(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Carrier]:
    folder: Path = tmp_path_factory.mktemp("carrier")
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "root.pem").write_bytes(certificate("root", root, "root", root, authority=True))
    leaf = certificate("carrier", key, "root", root, authority=False)
    app = web.Application()

    async def published(_request: web.Request) -> web.Response:
        return web.Response(body=leaf, content_type="application/pem-certificate-chain")

    app.router.add_get("/carrier.pem", published)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, lab.plan.carrier, 0)
    await site.start()
    port = runner.addresses[0][1]
    (lab.pbx.folder / "etc/stir_shaken.conf").write_text(
        "[verification]\ntype = verification\nload_system_certs = no\n"
        f"ca_file = {folder / 'root.pem'}\nrelax_x5u_port_scheme_restrictions = yes\n"
        "x5u_permit = 127.0.0.0/255.0.0.0\nfailure_action = continue\n"
        f"cert_cache_dir = {lab.pbx.folder / 'data/keys/stir_shaken/cache'}\n"
        "[attestation]\ntype = attestation\nglobal_disable = yes\n"
        "[verify]\ntype = profile\nendpoint_behavior = verify\nfailure_action = continue\n"
    )
    await lab.pbx.rx("module reload res_stir_shaken.so")
    yield Carrier(f"http://{lab.plan.carrier}:{port}/carrier.pem", key)
    await runner.cleanup()


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken
    await until_quiet(lab)
    await no_channels(lab)


async def calls_in(lab: Lab, take: Take, proof: str, *headers: str, number: str = CELL) -> int:
    """The user's desk phone is in a call; somebody calls the access number. Return the SIP status."""
    desk, customer = await take("1001"), await take(CUSTOMER)
    await customer.call("1001")
    await pair(desk, customer)
    async with options(lab, HOTSWITCH_PROOF=proof), Caller(lab) as caller:
        status = await caller.call(ACCESS, number, *headers)
        if status == 200:
            await desk.idle()
            assert customer.is_up()
        else:
            await pair(desk, customer)
    return status


async def test_a_signed_caller_id(lab: Lab, take: Take, carrier: Carrier) -> None:
    assert await calls_in(lab, take, "stir", *carrier.identity(CELL, ACCESS, "A")) == 200


@pytest.mark.parametrize("level", ["B", "C"])
async def test_a_lower_attestation_is_not_enough(lab: Lab, take: Take, carrier: Carrier, level: str) -> None:
    assert await calls_in(lab, take, "stir", *carrier.identity(CELL, ACCESS, level)) == REFUSED


async def test_a_lower_attestation_that_is_wanted(lab: Lab, take: Take, carrier: Carrier) -> None:
    async with options(lab, HOTSWITCH_ATTESTATION="AB"):
        assert await calls_in(lab, take, "stir", *carrier.identity(CELL, ACCESS, "B")) == 200


async def test_another_signature(lab: Lab, take: Take, carrier: Carrier) -> None:
    forged = carrier.identity(CELL, ACCESS, "A", ec.generate_private_key(ec.SECP256R1()))
    assert await calls_in(lab, take, "stir", *forged) == REFUSED


async def test_a_signature_for_another_number(lab: Lab, take: Take, carrier: Carrier) -> None:
    assert await calls_in(lab, take, "stir", *carrier.identity("+12025550151", ACCESS, "A")) == REFUSED


async def test_no_signature(lab: Lab, take: Take, carrier: Carrier) -> None:
    assert await calls_in(lab, take, "stir") == REFUSED


@pytest.mark.parametrize(
    ("verstat", "status"),
    [
        (";verstat=TN-Validation-Passed", 200),
        (";verstat=TN-Validation-Passed-A", 200),
        (";verstat=TN-Validation-Passed-C", REFUSED),
        (";verstat=TN-Validation-Failed", REFUSED),
        (";verstat=No-TN-Validation", REFUSED),
        (";other=verstat=TN-Validation-Passed-but-not-really", REFUSED),
        ("", REFUSED),
    ],
)
async def test_what_the_other_end_of_the_trunk_verified(lab: Lab, take: Take, verstat: str, status: int) -> None:
    header = f"P-Asserted-Identity: <sip:{CELL}{verstat}@carrier.example;user=phone>"
    assert await calls_in(lab, take, "verstat", header) == status


OTHER = "+13055550153"
PASSED = ";verstat=TN-Validation-Passed"
FAILED = ";verstat=TN-Validation-Failed"


@pytest.mark.parametrize(
    ("identities", "status"),
    [
        # one identity, written in the ways of RFC 3325 and 3GPP TS 24.229
        ([f"<tel:{CELL}{PASSED}>"], 200),
        ([f"<sip:{CELL}@carrier.example:5060;user=phone{PASSED}>"], 200),
        ([f'"DOE, JOHN" <sip:{CELL}{PASSED}@carrier.example;user=phone>'], 200),
        ([f'"Doe; John: 1" <sips:{CELL}{PASSED}@[2001:db8::1]>'], 200),
        # several, in one header or two: each must have passed
        ([f"<sip:{CELL}{PASSED}@carrier.example>, <tel:{CELL}{PASSED}>"], 200),
        ([f"<sip:{CELL}{PASSED}@carrier.example>", f"<tel:{CELL}{PASSED}>"], 200),
        ([f"<sip:{CELL}{PASSED}@carrier.example>, <tel:{CELL}{FAILED}>"], REFUSED),
        ([f"<sip:{CELL}{PASSED}@carrier.example>", f"<tel:{CELL}{FAILED}>"], REFUSED),
        ([f"<sip:{CELL}{FAILED}@carrier.example>", f"<tel:{CELL}{PASSED}>"], REFUSED),
        ([f"<sip:{CELL}{PASSED}@carrier.example>", f"<tel:{CELL}>"], REFUSED),
        ([f"<sip:{CELL}{PASSED}@carrier.example>", f"<sip:{OTHER}{PASSED}@carrier.example>"], REFUSED),
        # the caller's own number passed, but the caller ID that is shown is somebody else's
        ([f"<sip:{OTHER}{PASSED}@carrier.example;user=phone>"], REFUSED),
        # what a caller may write into the name
        ([f'"Bob{PASSED}>" <sip:{CELL}{FAILED}@carrier.example>'], REFUSED),
        ([f'"<sip:{CELL}{PASSED}@x>" <sip:{CELL}{FAILED}@carrier.example>'], REFUSED),
        ([f'"<sip:{CELL}{PASSED}@x>" <sip:{CELL}@carrier.example>'], REFUSED),
        ([f'"<sip:{CELL}{PASSED}@x" <sip:{CELL}@carrier.example>'], REFUSED),
        ([f'"Bob{PASSED}" <sip:{CELL}@carrier.example>'], REFUSED),
        ([f'"Bob\\"{PASSED}>" <sip:{CELL}@carrier.example>'], REFUSED),
        ([f"<sip:{CELL}@carrier.example>{PASSED}"], REFUSED),
        # not what a carrier writes
        ([f"<sip:{CELL}{PASSED}{FAILED}@carrier.example>"], REFUSED),
        ([f"<sip:{CELL}{FAILED}{PASSED}@carrier.example>"], REFUSED),
        ([f"<sip:{CELL}{FAILED}@carrier.example{PASSED}>"], REFUSED),
        ([f"<sip:x@{CELL}{PASSED}>"], REFUSED),
        ([f"<sip:{CELL}:1{PASSED}@carrier.example>"], REFUSED),
        ([f"sip:{CELL}@carrier.example{PASSED}"], REFUSED),
        ([f"<http:{CELL}{PASSED}>"], REFUSED),
    ],
)
async def test_whose_identity_was_verified(lab: Lab, take: Take, identities: list[str], status: int) -> None:
    headers = [f"P-Asserted-Identity: {identity}" for identity in identities]
    assert await calls_in(lab, take, "verstat", *headers) == status


@pytest.mark.parametrize("dialled", ["2300%5e1002", "2300)v(HS_OWNER%3dx"])
async def test_names_that_somebody_dialled(lab: Lab, take: Take, dialled: str) -> None:
    """The other party is a Local channel whose name has a stranger's signs in it: nobody is dialled for it."""
    desk, cell = await take("1001"), await take(CELL)
    async with Caller(lab) as caller:
        assert await caller.call(dialled, "+13055550153") == 200
        await desk.answered()
        channels = await lab.pbx.channels()
        await desk.press("*77")
        await lab.keyed("1001", "*77")
        await until_quiet(lab, but=channels)
        assert cell.calls == []
        assert desk.is_up()
    await desk.idle()

"""The rules that tests/unit/data/number_decisions.csv names, as an account's configuration has them."""

from typing import Any

from binding_ivr.app.bindings import number_rules
from binding_ivr.config import Config
from binding_ivr.policy.numbers import NumberRules
from binding_ivr.policy.own import OwnNumbers
from binding_ivr.policy.ranges import Excepted

OWN = OwnNumbers(
    extensions={"1001", "7001", "2025550170"}, dids={"+12025550199", "+442079460000"}, patterns={"_1202555018X"}
)
ALL_TYPES = ["MOBILE", "FIXED_LINE_OR_MOBILE", "FIXED_LINE", "VOIP", "PERSONAL_NUMBER"]
PROFILES: dict[str, dict[str, Any]] = {
    "us": {},
    "nanp": {"regions": ["NANP"]},
    "eea": {"default_region": "DE", "regions": ["EEA", "GB", "-CY"]},
    "world": {"regions": ["*"]},
    "all": {"regions": ["*"], "types": ALL_TYPES},
    "allow": {
        "regions": ["*"],
        "deny": ["+1XXX5551212", "+7954", "+53", "+960", "+447400123456"],
        "allow": ["+960", "+79541", "+4474001234"],
    },
    "excepted": {},
    "unknown": {},
}
EXCEPTIONS = {
    "excepted": [
        *(Excepted(number, whole=True) for number in ("+442079460958", "+18005550199", "+442079460000")),
        *(Excepted(prefix, whole=False) for prefix in ("+960", "+1900", "+1212976", "+870", "+911", "+44909")),
    ],
    "unknown": [
        Excepted("+15551230001", whole=True),
        Excepted("+1711", whole=False),
        Excepted("+1202", whole=False),
        Excepted("+1900", whole=False),
    ],
}


def account(profile: str, region: str = "") -> Config:
    """The configuration of an account with *profile*; national writing is of *region*."""
    number = {**PROFILES[profile], **({"default_region": region} if region else {})}
    return Config().for_account({"number": number})


def rules(profile: str, region: str = "") -> NumberRules:
    """The rules of *profile*."""
    return number_rules(account(profile, region), EXCEPTIONS.get(profile, ()))

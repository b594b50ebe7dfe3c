"""How accounts, users, extensions, numbers, addresses and reasons are written: each form once. It looks nothing up.

A form is the text of a regular expression that Python, PostgreSQL and JSON Schema read alike, without anchors. The
constraints of the tables and the REGEX of the dialplan say the same (tests/unit/test_forms.py and
tests/integration/test_forms_sql.py compare them).
"""

import re
from functools import cache

from binding_ivr.errors import Refusal

# No leading dot in a name that stands in a path: `.` and `..` would be no names there.
ACCOUNT = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"
EXTENSION = r"[A-Za-z0-9*#_-][A-Za-z0-9*#._-]{0,31}"
USER = r"[^\s\x00-\x20\x7f-\x9f/]{1,128}"
LANGUAGE = r"[A-Za-z0-9_-]{0,16}"
KEY_NAME = r"[A-Za-z0-9._-]{1,64}"
"""An API key's name; it stands in no path."""

DIGITS = r"[1-9][0-9]{5,14}"
E164 = r"\+" + DIGITS
"""A number that is kept."""
CALLABLE_DIGITS = r"[1-9][0-9]{6,14}"
CALLABLE = r"\+" + CALLABLE_DIGITS
"""A number that may be called: no numbering plan has a shorter one."""
PREFIX = r"\+[1-9][0-9]{1,14}"
"""How numbers of an exception begin."""
CALLER_DIGITS = r"[+]?[0-9]{3,20}"
"""A number as a trunk or an extension names the caller."""
CALLER = r"[()]?[+]?[()]?[0-9]([-. ()]{0,2}[0-9]){2,19}[()]?"
"""The same with marks between the digits, as some trunks send them: `+1-202-555-0123`."""
NUMBER_HASH = r"[0-9a-f]{64}"
NUMBER_OR_HASH = rf"\+?[0-9]{{3,15}}|{NUMBER_HASH}"
OWN_PATTERN = r"_?[0-9XZNxzn.!\[\]-]{1,63}"
"""An Asterisk pattern on E.164 digits."""

REASON = r"[^\x00-\x1f\x7f-\x9f]*"
SHORTEST_REASON = 3
LONGEST_REASON = 200

LONGEST_EMAIL = 254
EMAIL_CHARACTERS = r"[!-~]*"
"""What an address that comes by the API consists of."""
_LONGEST_LOCAL = 64
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_LOCAL = rf"{_ATOM}(\.{_ATOM})*"
_DOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_MAILBOX = r"(?P<name>[^<>]*)<(?P<inner>[^<>]+)>|(?P<bare>[^<>]+)"

PATH_NAMES = {
    "account": ACCOUNT, "user_id": USER, "extension": EXTENSION, "e164": CALLER, "number": NUMBER_OR_HASH,
}  # fmt: skip
"""The forms of the names in the API's paths."""

_SENTENCES = {
    ACCOUNT: "an account name has 1 to 64 letters, digits, dots, dashes or underscores, and does not start with a dot",
    USER: "a user id has 1 to 128 characters, without spaces or slashes",
    EXTENSION: "an extension has 1 to 32 letters, digits or * # _ - . and does not start with a dot",
    LANGUAGE: "write the language as an Asterisk language code such as en",
    KEY_NAME: "a key's name has 1 to 64 letters, digits, dots, dashes or underscores",
    E164: "write a DID in E.164: + and 6 to 15 digits",
    OWN_PATTERN: "write a pattern as an Asterisk pattern of E.164 digits, such as _155501XX",
    PREFIX: "write a prefix as + and the first digits of an E.164 number, at least two",
}


@cache
def compiled(form: str) -> re.Pattern[str]:
    """Return *form* as a regular expression."""
    return re.compile(form)


def fits(form: str, text: str) -> bool:
    """Tell whether all of *text* has the form *form*."""
    return compiled(form).fullmatch(text) is not None


def check(form: str, text: str) -> str:
    """Return *text* if it has the form *form*. Raises Refusal (`invalid`) with the form's sentence."""
    if not fits(form, text):
        raise Refusal("invalid", _SENTENCES[form])
    return text


def whole(form: str, *, may_be_empty: bool = False) -> str:
    """Return the pattern of a JSON Schema for texts of the form *form*."""
    return f"^({form})?$" if may_be_empty else f"^{f'({form})' if '|' in form else form}$"


def tidy_reason(text: str) -> str:
    """Return a reason as it is kept: on one line, single spaces."""
    return " ".join(text.split())


def check_reason(text: str) -> str:
    """Return a reason that must be given, as it is kept. Raises Refusal."""
    reason = tidy_reason(text)
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise Refusal(
            "invalid", f"give a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters; the audit keeps it"
        )
    return reason


def check_kept_email(text: str) -> str:
    """Return what is kept as a user's e-mail address; whether mail can go there is said when it is sent.

    Raises Refusal.
    """
    if len(text) > LONGEST_EMAIL or not text.isprintable():
        raise Refusal("invalid", f"an e-mail address has at most {LONGEST_EMAIL} characters, all of them printable")
    return text


def read_email(text: str) -> str:
    """Return the e-mail address *text* as SMTP takes it, its domain in ASCII (IDNA).

    Raises ValueError, which does not quote it. Quoted local parts and those outside ASCII (RFC 6531) are refused: many
    servers do not take them.
    """
    local, at, domain = text.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode() if not domain.isascii() else domain
    except UnicodeError:
        raise ValueError("not an e-mail address") from None
    if not at or len(local) > _LONGEST_LOCAL or not fits(_LOCAL, local) or not fits(_DOMAIN, domain):
        raise ValueError("not an e-mail address")
    if len(local) + len(domain) + 1 > LONGEST_EMAIL:
        raise ValueError("an e-mail address is too long")
    return f"{local}@{domain}"


def read_mailbox(text: str) -> tuple[str, str]:
    """Return name (as it is written) and address of `Example <numbers@pbx.example>`. Raises ValueError."""
    found = compiled(_MAILBOX).fullmatch(text.strip())
    if found is None:
        raise ValueError("not an e-mail address")
    return (found["name"] or "").strip().strip('"'), read_email(found["bare"] or found["inner"])

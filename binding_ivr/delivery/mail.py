"""Builds an e-mail from a notice: headers that nobody's input can add to, text and HTML. It sends nothing."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from binding_ivr.delivery.texts import Words, clean

_POLICY = SMTP.clone(cte_type="7bit")  # not every server takes eight bits
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_MAILBOX = re.compile(r"(?P<name>[^<>]*)<(?P<inner>[^<>]+)>|(?P<bare>[^<>]+)")
LONGEST = 254


def address(text: str) -> str:
    """Return the e-mail address *text* as SMTP takes it, its domain in ASCII (IDNA).

    Raises ValueError, which does not quote it. Quoted local parts and those outside ASCII (RFC 6531) are refused: many
    servers do not take them.
    """
    local, at, domain = text.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode() if not domain.isascii() else domain
    except UnicodeError:
        raise ValueError("not an e-mail address") from None
    if not at or len(local) > 64 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise ValueError("not an e-mail address")
    if len(local) + len(domain) + 1 > LONGEST:
        raise ValueError("an e-mail address is too long")
    return f"{local}@{domain}"


def mailbox(text: str) -> tuple[str, str]:
    """Return name and address of *text*, such as `Example <numbers@pbx.example>`. Raises ValueError."""
    found = _MAILBOX.fullmatch(text.strip())
    if found is None:
        raise ValueError("not an e-mail address")
    return clean((found["name"] or "").strip().strip('"')), address(found["bare"] or found["inner"])


def domain_of(sender: str) -> str:
    """Return the domain of the mailbox *sender*, for Message-IDs. Raises ValueError."""
    return mailbox(sender)[1].rpartition("@")[2]


def compose(words: Words, *, sender: str, to: Sequence[str], identity: str, time: datetime) -> bytes:
    """Return the message, the same bytes whenever it is made of the same things.

    *identity* is the left side of the Message-ID (letters, digits, `.` and `-`), *time* goes into `Date`. Raises
    ValueError for a *sender* or an address in *to* that is none.
    """
    name, bare = mailbox(sender)
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(name, addr_spec=bare)
    message["To"] = [Address(addr_spec=one) for one in to]
    message["Subject"] = words.subject
    message["Date"] = format_datetime(time.astimezone(UTC))
    message["Message-ID"] = f"<{identity}@{domain_of(sender)}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    message.set_content(words.text)
    message.add_alternative(words.html, subtype="html")
    message["Content-Language"] = words.language
    message.set_boundary(f"=_{identity}")
    return message.as_bytes()

"""Builds an e-mail from a notice: headers that nobody's input can add to, text and HTML. It sends nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from binding_ivr.delivery.texts import Words, clean
from binding_ivr.model import forms

_POLICY = SMTP.clone(cte_type="7bit")  # not every server takes eight bits


def mailbox(text: str) -> tuple[str, str]:
    """Return name and address of *text*, such as `Example <numbers@pbx.example>`. Raises ValueError."""
    name, address = forms.read_mailbox(text)
    return clean(name), address


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

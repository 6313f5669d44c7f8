"""A letter as it is kept until it is sent, and the Internet message (RFC 5322) that is made of it."""

from __future__ import annotations

from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from uuid import UUID

import msgspec
from email_validator import EmailNotValidError, validate_email

from sivo.mail.render import one_line

_POLICY = policy.SMTP


class Letter(msgspec.Struct, frozen=True):
    """Recipient and text. Sealed while it waits: a link in it is a secret."""

    to: str
    name: str
    subject: str
    text: str
    html: str
    reply_to: str = ""


def encode(letter: Letter) -> bytes:
    """As it is sealed."""
    return msgspec.json.encode(letter)


def decode(data: bytes) -> Letter:
    """What :func:`encode` made."""
    return msgspec.json.decode(data, type=Letter)


def wire_address(address: str) -> str:
    """``address`` with an international domain in its ASCII form (RFC 5891), where that is possible.

    ``ValueError`` when it is no address.
    """
    try:
        # Some private names (``.test``, ``.localhost``) are right inside a company.
        found = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return found.ascii_email or found.normalized


def compose(letter: Letter, message_id: UUID, sender: str, language: str, created_at: datetime) -> EmailMessage:
    """The message. Made of a stored row only, so a second attempt is the same message with the same Message-ID."""
    made = EmailMessage(policy=_POLICY)
    made["From"] = _address(sender)
    made["To"] = _address(wire_address(letter.to), one_line(letter.name))
    if letter.reply_to:
        made["Reply-To"] = _address(wire_address(letter.reply_to))
    made["Subject"] = one_line(letter.subject)
    made["Date"] = format_datetime(created_at)
    made["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: nobody's holiday notice answers it
    made.set_content(letter.text, charset="utf-8", cte="quoted-printable")
    made.add_alternative(letter.html, subtype="html", charset="utf-8", cte="quoted-printable")
    made["Content-Language"] = language  # last: the content manager moves headers of this family into parts
    return made


def _address(address: str, name: str = "") -> Address:
    # In two parts, since an `addr_spec` with a local part that is not ASCII (RFC 6531) is refused.
    user, _, domain = address.rpartition("@")
    return Address(display_name=name, username=user, domain=domain)

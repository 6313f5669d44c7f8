"""What a mail template is: typed data, the same in every language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Every message that the platform sends."""

    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    EMAIL_CHANGE = "email_change"
    EMAIL_CHANGE_NOTICE = "email_change_notice"
    EMAIL_CHANGED = "email_changed"
    LEAD = "lead"


#: Names that the text of a kind fills in, in every language. Kinds of :data:`WITH_LINK` also show a link.
FIELDS: dict[Kind, frozenset[str]] = {
    Kind.INVITATION: frozenset({"name", "tenant", "days"}),
    Kind.PASSWORD_RESET: frozenset({"name", "tenant", "minutes"}),
    Kind.PASSWORD_CHANGED: frozenset({"name", "tenant"}),
    Kind.EMAIL_CHANGE: frozenset({"name", "tenant", "hours"}),
    Kind.EMAIL_CHANGE_NOTICE: frozenset({"name", "tenant", "new_email"}),
    Kind.EMAIL_CHANGED: frozenset({"name", "tenant", "new_email"}),
    Kind.LEAD: frozenset(
        {"tenant", "lead_name", "lead_email", "lead_phone", "lead_company", "source", "consent", "message"}
    ),
}
WITH_LINK = frozenset({Kind.INVITATION, Kind.PASSWORD_RESET, Kind.EMAIL_CHANGE})


@dataclass(frozen=True, slots=True)
class Template:
    """One message in one language: ``{field}`` in subject and paragraphs is filled in, a newline stays one.

    ``action`` says what the link does; the link stands after paragraph ``before_link``.
    """

    subject: str
    paragraphs: tuple[str, ...]
    action: str = ""
    before_link: int = 2

"""Which mail goes with which link, and the notices that follow a change."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sivo.identity.links import LIVES, Purpose
from sivo.mail.post import Mail
from sivo.mail.template import Kind

#: Pages of the console that take the tokens.
PAGES = {
    Purpose.INVITATION: "invitation",
    Purpose.PASSWORD_RESET: "password-reset",
    Purpose.EMAIL_CHANGE: "email-change",
}
_KINDS = {
    Purpose.INVITATION: (Kind.INVITATION, "days", 86_400),
    Purpose.PASSWORD_RESET: (Kind.PASSWORD_RESET, "minutes", 60),
    Purpose.EMAIL_CHANGE: (Kind.EMAIL_CHANGE, "hours", 3_600),
}


def with_link(user_id: UUID, body: dict[str, Any], purpose: Purpose, token: str, to: str | None = None) -> Mail:
    """The mail that brings a link to the user whose resource is ``body``; ``to`` when not to their address."""
    kind, unit, seconds = _KINDS[purpose]
    lasts = LIVES[purpose]
    return Mail(
        kind,
        to=to or body["email"],
        name=body["name"],
        language=body.get("language"),
        values={"name": body["name"], unit: str(int(lasts.total_seconds()) // seconds)},
        page=PAGES[purpose],
        token=token,
        about=user_id,
        lasts=lasts,
    )


def notice(user_id: UUID, body: dict[str, Any], kind: Kind, **values: str) -> Mail:
    """A mail that tells the user whose resource is ``body`` what happened."""
    return Mail(
        kind,
        to=body["email"],
        name=body["name"],
        language=body.get("language"),
        values={"name": body["name"], **values},
        about=user_id,
    )

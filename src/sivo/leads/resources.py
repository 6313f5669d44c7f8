"""Where a tenant's leads are mailed: a resource like any other, so its own administrators change it by change-set.

See docs/decisions/0012: no key, and no field of the tenant itself, which only operators may change.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, EmailStr, Field, StringConstraints

from sivo.config.kinds import Body, ResourceKind, Unique, register_kind

#: Leads of every form that has no inbox of its own.
ANY = "*"
Source = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,59})$")]


def _lower(value: str) -> str:
    return value.lower()


class LeadInbox(Body):
    """Leads whose ``source`` is this one are mailed to ``email`` and kept for ``retention_days``."""

    source: Source = ANY
    email: Annotated[EmailStr, AfterValidator(_lower)]
    #: Sealed onto each lead when it comes in.
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 365
    active: bool = True


LEAD_INBOX = register_kind(
    ResourceKind(
        name="lead_inbox",
        plural="lead-inboxes",
        model=LeadInbox,
        unique=(Unique("lead_inbox.source", ("source",)),),
    )
)

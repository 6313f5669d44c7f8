"""What became of a tenant's mails, for its administrators. Recipient and text are not shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.identity.access import Permission, Principal, require
from sivo.mail import rows

MailState = Literal["pending", "sent", "dead"]


def make_router(context: Context) -> APIRouter:
    """The listing."""
    router = APIRouter(tags=["mail"])

    @router.get("/api/mail")
    async def list_mail(
        who: Annotated[Principal, Depends(require(Permission.MAIL_READ))],
        state: MailState | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """Mails of the last 30 days, newest first; ``state=dead`` with the reasons."""
        async with context.database.tenant(who.tenant_id) as connection:
            found = await rows.listing(connection, limit=limit + 1, before=decode_id(cursor), state=state)
        return page(found, limit, lambda row: [str(row["id"])])

    return router

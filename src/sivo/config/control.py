"""How a tenant wants its own changes made: for now, whether every change-set must say why."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from sivo.base.errors import SivoError, register
from sivo.config.kinds import Body, ResourceKind, Unique, register_kind
from sivo.db.scopes import Connection

REASON_REQUIRED = register("CHANGE_REASON_REQUIRED", 422)


class ChangeControl(Body):
    """One for each tenant; without one nothing is asked for."""

    scope: Literal["tenant"] = "tenant"
    reason_required: bool = False


CHANGE_CONTROL = register_kind(
    ResourceKind(
        name="change_control",
        plural="change-control",
        model=ChangeControl,
        unique=(Unique("change_control.scope", ("scope",)),),
    )
)


async def require_reason(connection: Connection, tenant_id: UUID) -> None:
    """Refuse a change-set without a reason where the tenant asks for one; switching that off needs one too."""
    wanted = await connection.fetchval(
        "select true from resource where tenant_id = $1 and kind = $2 and (body->>'reason_required')::boolean",
        tenant_id,
        CHANGE_CONTROL.name,
    )
    if wanted:
        raise SivoError(
            REASON_REQUIRED,
            "this tenant wants a reason for every change, and none was given",
            where="header X-Change-Reason",
            remedy="say why: header X-Change-Reason, or --reason on the command line",
        )

"""How a tenant wants its own changes made: with a reason, with a second person's approval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sivo.audit.chain import ChangeRecord
from sivo.base.errors import SivoError, register
from sivo.config.kinds import Body, ResourceKind, Unique, register_kind
from sivo.db.scopes import Connection

REASON_REQUIRED = register("CHANGE_REASON_REQUIRED", 422)


class ChangeControl(Body):
    """One for each tenant; without one nothing is asked for."""

    scope: Literal["tenant"] = "tenant"
    #: Every change-set says why.
    reason_required: bool = False
    #: Every change-set waits until somebody other than its author approves it; switching this off does too.
    approval_required: bool = False


CHANGE_CONTROL = register_kind(
    ResourceKind(
        name="change_control",
        plural="change-control",
        model=ChangeControl,
        unique=(Unique("change_control.scope", ("scope",)),),
    )
)
#: Change-sets of these kinds alone are the operator's (name, plan, suspension), not the tenant's own.
_OPERATORS = ("tenant",)


async def of(connection: Connection, tenant_id: UUID) -> ChangeControl:
    """What the tenant asks for now."""
    body = await connection.fetchval(
        "select body from resource where tenant_id = $1 and kind = $2", tenant_id, CHANGE_CONTROL.name
    )
    return ChangeControl.model_validate(body) if body else ChangeControl()


def require_reason(wanted: ChangeControl, reason: str) -> None:
    """Refuse a change-set without a reason where the tenant asks for one; switching that off needs one too."""
    if wanted.reason_required and not reason.strip():
        raise SivoError(
            REASON_REQUIRED,
            "this tenant wants a reason for every change, and none was given",
            where="header X-Change-Reason",
            remedy="say why: header X-Change-Reason, or --reason on the command line",
        )


def needs_approval(wanted: ChangeControl, records: Sequence[ChangeRecord], role: str) -> bool:
    """Whether a change-set has to wait for a second person. Revoking a credential never does: it acts at once."""
    kinds = {one.target.split("/", 1)[0] for one in records}
    operators_own = role == "superadmin" and kinds <= set(_OPERATORS)
    revoked = all(one.target.startswith("api_key/") and one.after is None for one in records)
    return wanted.approval_required and not operators_own and not revoked


def touches_control(records: Sequence[ChangeRecord]) -> bool:
    """Whether a change-set is about this very switch."""
    return any(one.target.startswith(f"{CHANGE_CONTROL.name}/") for one in records)

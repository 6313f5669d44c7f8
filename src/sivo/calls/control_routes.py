"""Orders to running calls over the API: pass on, press keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, StringConstraints

from sivo.api.context import Context
from sivo.audit.log import Action, AuditEntry
from sivo.base.errors import SivoError
from sivo.calls import orders, own
from sivo.identity.access import Permission, Principal, Role, require

#: Passing calls on and listening in are a supervisor's work.
Supervisor = Annotated[Principal, Depends(require(Permission.CALLS_CONTROL))]
Number = Annotated[str, StringConstraints(pattern=r"^\+?[0-9*#]{1,20}$")]
Side = Literal["caller", "callee"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TransferBody(_Body):
    """``to``: an extension or number of the tenant; ``by``: the side that leaves."""

    to: Number
    by: Side = "callee"


class KeysBody(_Body):
    """``digits`` are sent to ``leg``, as telephone events or as sound, as it takes them."""

    digits: Annotated[str, StringConstraints(pattern=r"^[0-9*#A-Da-d]{1,32}$")]
    leg: Side = "callee"


class SuperviseBody(_Body):
    """``extension`` is rung and listens; ``whisper``: the callee hears it as well, ``barge``: both do."""

    extension: Annotated[str, StringConstraints(pattern=r"^[0-9]{2,6}$")]
    mode: Literal["listen", "whisper", "barge"] = "listen"


class GuestBody(_Body):
    """An extension or number of the tenant."""

    to: Number


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/calls/{call_id}``."""
    router = APIRouter(tags=["calls"])

    async def give(who: Principal, call_id: UUID, kind: str, body: BaseModel) -> dict[str, Any]:
        found = body.model_dump()
        entry = _entry(who, call_id, kind, found)
        return await orders.give(
            context.database, context.clock, who.tenant_id, call_id, kind, found, who.author.name, entry
        )

    @router.post("/api/calls/{call_id}/transfer", status_code=202)
    async def transfer(call_id: UUID, body: TransferBody, who: Supervisor) -> dict[str, Any]:
        """Pass the other party on to somebody else. 202: the target is being rung; ``call.transferred`` tells that it
        answered. When it does not, both parties stay on the line with each other."""
        return await give(who, call_id, "transfer", body)

    @router.post("/api/calls/{call_id}/dtmf", status_code=202)
    async def press(call_id: UUID, body: KeysBody, who: Supervisor) -> dict[str, Any]:
        """Press keys towards one side, an IVR for example."""
        return await give(who, call_id, "dtmf", body)

    @router.post("/api/calls/{call_id}/supervise", status_code=202)
    async def supervise(call_id: UUID, body: SuperviseBody, who: Supervisor) -> dict[str, Any]:
        """Ring an extension and let it listen, whisper or barge in; again with another mode to change it. Listening and
        whispering are not recorded, barging in is, on the agent's channel. The extension is one of the caller's own."""
        await _check_own(context, who, body.extension)
        return await give(who, call_id, "supervise", body)

    @router.post("/api/calls/{call_id}/invite", status_code=202)
    async def invite(call_id: UUID, body: GuestBody, who: Supervisor) -> dict[str, Any]:
        """Bring a third party onto the call; all hear each other."""
        return await give(who, call_id, "invite", body)

    @router.post("/api/calls/{call_id}/leave", status_code=202)
    async def leave(call_id: UUID, body: GuestBody, who: Supervisor) -> dict[str, Any]:
        """Send a supervisor or a third party away; the call goes on."""
        return await give(who, call_id, "leave", body)

    return router


#: Order -> what the audit log calls it. Keys that are pressed may be a PIN, so they stand nowhere.
_EVENTS: dict[str, tuple[Action, str]] = {
    "transfer": ("update", "transfer"),
    "dtmf": ("update", "call.keys_pressed"),
    "supervise": ("access", "call.supervised"),
    "invite": ("update", "call.guest_invited"),
    "leave": ("update", "call.guest_dismissed"),
}


def _entry(who: Principal, call_id: UUID, kind: str, body: dict[str, Any]) -> AuditEntry:
    action, event = _EVENTS[kind]
    diff = {name: (None, value) for name, value in body.items() if name != "digits"}
    return who.author.did(action, event, "call", call_id, diff)


async def _check_own(context: Context, who: Principal, extension: str) -> None:
    """A supervisor listens at a phone of their own: nobody lets a call be heard at somebody else's desk.

    A superadmin has no phone in the tenant, and stands in its audit log.
    """
    if who.role is Role.SUPERADMIN:
        return
    async with context.database.tenant(who.tenant_id) as connection:
        found = await own.extensions(connection, who.tenant_id, who.user_id) if who.user_id else []
    if extension not in {one.number for one in found}:
        raise SivoError(
            "VALIDATION_FAILED",
            f"extension {extension} is none of yours",
            where="extension",
            remedy="listen in at an extension that belongs to you",
        )

"""POST /auth/agent: a signed-in person's softphone gets a session and a SIP account of its own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from sivo.audit.log import record
from sivo.base.errors import SivoError, register
from sivo.config import state
from sivo.db.scopes import Connection
from sivo.identity import devices, sessions
from sivo.identity.access import Caller, own_session
from sivo.identity.authentication import note_standing
from sivo.identity.people import Person
from sivo.identity.rates import AGENT
from sivo.identity.service import Identity
from sivo.identity.session_routes import own_person
from sivo.identity.sessions import PHONE, Opening

NO_EXTENSION = register("NO_EXTENSION", 409)
#: Life of a softphone's access token; the SIP account lives as long as the session that it hangs from.
TOKEN_LIFE_S = 3600


class SipAccount(BaseModel):
    """What a SIP phone is configured with. ``auth_user`` is the digest user name; the password is shown once."""

    domain: str
    outbound_proxy: str
    extension: str
    address: str
    auth_user: str
    password: str


class PhoneAnswer(BaseModel):
    """A softphone session; it ends with the session that it was made from."""

    session_id: str
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    sip: SipAccount


def add(router: APIRouter, identity: Identity) -> None:
    """Add it."""

    @router.post("/api/auth/agent")
    @router.post("/auth/agent", include_in_schema=False)
    async def agent(request: Request, caller: Annotated[Caller, Depends(own_session)]) -> PhoneAnswer:
        """A softphone session with a SIP account for my extension. At most 10 in 15 minutes."""
        limit = identity.overrides.limit(AGENT, caller.home_id)
        note_standing(request, await identity.rates.take(limit, str(caller.user_id)))
        return await _open(identity, request, caller)


async def _open(identity: Identity, request: Request, caller: Caller) -> PhoneAnswer:
    tenant_id, person = await own_person(identity, caller)
    assert caller.session_id is not None
    keys, now = await identity.people.tenant_identity(tenant_id), identity.clock.now()
    await identity.vault.tenant_key(tenant_id)
    async with identity.database.tenant(tenant_id) as connection:
        extension = await _extension(connection, person)
        parent = await sessions.find_session(connection, caller.session_id)
        assert parent is not None
        if parent.kind == PHONE:
            raise SivoError("VALIDATION_FAILED", "a softphone's session opens no further ones", where="session")
        origin = identity.origin(request)
        left = int((parent.expires_at - now).total_seconds())
        opening = Opening(person.id, left, parent.factor, PHONE, parent.id, origin.address, origin.client)
        session = await sessions.open_session(connection, tenant_id, opening, now)
        place, number = (session.id, session.expires_at), (extension.id, str(extension.body["number"]))
        device = await devices.add(connection, identity.vault, tenant_id, person.id, place, number, now)
        await record(connection, caller.author.did("create", "softphone.opened", "session", session.id), now)
        await sessions.announce(connection, tenant_id, phones=True)
    life = min(TOKEN_LIFE_S, keys.jwt_ttl_sec)
    return PhoneAnswer(
        session_id=str(session.id),
        access_token=await identity.grants.access_token(person, session, life),
        expires_in=life,
        sip=SipAccount(
            domain=keys.sip_domain,
            outbound_proxy=_proxy(identity, request),
            extension=number[1],
            address=f"sip:{number[1]}@{keys.sip_domain}",
            auth_user=device.auth_user,
            password=device.secret,
        ),
    )


async def _extension(connection: Connection, person: Person) -> Any:
    """The extension at which this person is reached: the one that belongs to them, else the one they name."""
    user = (await state.resources_by_id(connection, person.tenant_id, [person.id]))[person.id]
    found = [
        one for one in await state.resources(connection, person.tenant_id, "extension") if one.body.get("active", True)
    ]
    for one in found:
        if str(one.body.get("user") or "") == str(person.id):
            return one
    for one in found:
        if one.body["number"] == user.body.get("extension") and not one.body.get("user"):
            return one
    raise SivoError(
        NO_EXTENSION,
        "you have no extension to make calls from",
        where="user.extension",
        remedy="ask an administrator to give you one",
    )


def _proxy(identity: Identity, request: Request) -> str:
    """Where SIP is served, as the client sees this machine unless the operator says otherwise."""
    settings = identity.settings
    served = request.scope.get("server") or ("127.0.0.1", None)
    host = settings.advertised_host or str(served[0])
    return f"sip:{f'[{host}]' if ':' in host else host}:{settings.sip_port};transport=udp"

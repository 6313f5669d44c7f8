"""Routes of room ``identity``: sign in and out, who am I, passwords of users, public signing keys."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from sivo.base.errors import SivoError
from sivo.identity import credentials
from sivo.identity.access import WRITERS, Caller, Principal, Role, current_caller, require
from sivo.identity.authentication import peer_uid
from sivo.identity.client_address import client_address, limit_key
from sivo.identity.factors import PendingFactor
from sivo.identity.login import SignedIn, SignIn
from sivo.identity.passwords import MAX_LENGTH, check_length
from sivo.identity.rates import LOGIN
from sivo.identity.service import Identity


class LoginBody(BaseModel):
    """Body of POST /api/auth/login. ``tenant`` is a slug; without it the host or the e-mail address decides."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(min_length=3, max_length=254)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH)]
    tenant: Annotated[str, Field(max_length=63)] = ""


class TokenAnswer(BaseModel):
    """An access token; ``expires_in`` in seconds."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int


class PasswordBody(BaseModel):
    """Body of POST /api/users/{id}/password."""

    model_config = ConfigDict(extra="forbid")

    password: SecretStr


def make_router(identity: Identity) -> APIRouter:
    """All routes of the room."""
    router = APIRouter(tags=["identity"])
    _add_login(router, identity)
    _add_session_routes(router, identity)
    _add_password_route(router, identity)

    @router.get("/.well-known/jwks.json")
    async def jwks(response: Response) -> dict[str, Any]:
        """Public keys that access tokens are signed with (RFC 7517)."""
        response.headers["Cache-Control"] = "public, max-age=300"
        return identity.keys.jwks()

    return router


def _add_login(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/auth/login")
    @router.post("/auth/login", include_in_schema=False)
    async def login(body: LoginBody, request: Request) -> TokenAnswer:
        """Sign in with e-mail and password. At most 5 requests in 15 minutes from one address."""
        identity.rates.take(LOGIN, _limit_key(identity, request))
        host = request.headers.get("host", "").partition(":")[0]
        attempt = SignIn(body.email, body.password.get_secret_value(), body.tenant, host)
        return _answer(await identity.login.sign_in(attempt))


def _answer(outcome: SignedIn | PendingFactor) -> TokenAnswer:
    if isinstance(outcome, PendingFactor):
        raise SivoError("UNAUTHENTICATED", "a second factor is needed", details=outcome.challenge)
    return TokenAnswer(access_token=outcome.access_token, expires_in=outcome.expires_in)


def _add_session_routes(router: APIRouter, identity: Identity) -> None:
    @router.get("/api/me")
    async def me(caller: Annotated[Caller, Depends(current_caller)]) -> dict[str, Any]:
        """Who the token says I am."""
        return {
            "user_id": caller.user_id,
            "tenant_id": caller.tenant_id,
            "role": caller.role,
            "author": caller.author.name,
        }

    @router.post("/api/auth/logout", status_code=204)
    @router.post("/auth/logout", status_code=204, include_in_schema=False)
    async def logout(caller: Annotated[Caller, Depends(current_caller)]) -> None:
        """End the session of this token, everywhere."""
        if caller.session_id is None:
            raise SivoError("VALIDATION_FAILED", "a caller of the local socket has no session to end")
        home = await identity.directory.tenant_of_session(caller.session_id)
        if home is not None:
            async with identity.database.tenant(home) as connection:
                await credentials.end_session(connection, home, caller.session_id, identity.clock.now())
        identity.authentication.cache.clear()


def _add_password_route(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/users/{user_id}/password", status_code=204)
    async def set_password(
        user_id: UUID, body: PasswordBody, who: Annotated[Principal, Depends(require(*WRITERS))]
    ) -> None:
        """Set a user's password and end their sessions."""
        password = body.password.get_secret_value()
        keys = await identity.people.tenant_identity(who.tenant_id)
        check_length(password, keys.password_min_length)
        person = await identity.people.get(who.tenant_id, user_id)
        if person is None:
            raise SivoError("NOT_FOUND", "there is no such user in this tenant", where="user_id")
        if person.role is Role.SUPERADMIN and who.role is not Role.SUPERADMIN:
            raise SivoError("INSUFFICIENT_ROLE", "only a superadmin sets the password of a superadmin")
        hashed = await identity.passwords.hash(password)
        now = identity.clock.now()
        async with identity.database.tenant(who.tenant_id) as connection:
            await credentials.store_password(connection, who.tenant_id, user_id, hashed, who.author.name, now)
            await credentials.end_sessions(connection, who.tenant_id, user_id, now)
        identity.authentication.cache.forget_tenant(who.tenant_id)


def _limit_key(identity: Identity, request: Request) -> str:
    """Under what a login is counted; a local caller by uid."""
    uid = peer_uid(request)
    if uid is not None:
        return f"local:{uid}"
    peer = request.client.host if request.client else ""
    address = client_address(peer, request.headers.getlist("x-forwarded-for"), identity.proxies)
    return limit_key(address) if address else "unknown"

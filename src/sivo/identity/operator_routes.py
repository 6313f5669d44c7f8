"""Routes of operators: signing keys of tokens, and limits apart from the published ones."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from sivo.identity import overrides
from sivo.identity.access import Operator, require_operator
from sivo.identity.bodies import Line, Strict
from sivo.identity.rates import PUBLISHED
from sivo.identity.service import Identity
from sivo.identity.session_routes import STEPPED_UP
from sivo.identity.signing_keys import JWKS_MAX_AGE_S

Kid = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
Who = Annotated[Operator, Depends(require_operator)]


class RevokeBody(Strict):
    """Why a key has to go at once."""

    reason: Annotated[Line, Field(min_length=1)]


class OverrideBody(Strict):
    """Another amount for one limit; null goes back to what is published."""

    subject: Annotated[str, Field(max_length=100)] = overrides.PLATFORM
    amount: Annotated[int, Field(ge=1, le=1_000_000)] | None
    reason: Line = ""


def add(router: APIRouter, identity: Identity) -> None:
    """Add them."""
    _add_keys(router, identity)
    _add_limits(router, identity)


def _add_keys(router: APIRouter, identity: Identity) -> None:
    @router.get("/.well-known/jwks.json")
    async def jwks(response: Response) -> dict[str, Any]:
        """Public keys that access tokens are signed with (RFC 7517)."""
        response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_S}"
        return identity.keys.jwks()

    @router.get("/api/signing-keys")
    async def list_keys(_who: Who) -> dict[str, Any]:
        """Keys in force and their ages."""
        return {"items": identity.keys.listing()}

    @router.post("/api/signing-keys/rotate", dependencies=STEPPED_UP)
    async def rotate(who: Who) -> dict[str, Any]:
        """Publish the next signing key; it signs ten minutes later."""
        kid = await identity.keys.rotate(who.author.did)
        return {"kid": kid, "items": identity.keys.listing()}

    @router.post("/api/signing-keys/{kid}/revoke", dependencies=STEPPED_UP)
    async def revoke(kid: Kid, body: RevokeBody, who: Who) -> dict[str, Any]:
        """Emergency: a key and every token that it signed are worth nothing from now on, in every process."""
        await identity.keys.revoke(kid, f"{who.author.name}: {body.reason}", who.author.did)
        identity.authentication.cache.clear()
        return {"items": identity.keys.listing()}


def _add_limits(router: APIRouter, identity: Identity) -> None:
    @router.get("/api/limits")
    async def list_limits(_who: Who) -> dict[str, Any]:
        """What is published, and what was set apart from it."""
        published = [
            {"limit": one.name, "amount": one.amount, "window_sec": one.window_sec} for one in PUBLISHED.values()
        ]
        return {"published": published, "overrides": [overrides.shown(row) for row in await identity.overrides.all()]}

    @router.put("/api/limits/{limit}", dependencies=STEPPED_UP)
    async def put_limit(limit: str, body: OverrideBody, who: Who) -> dict[str, Any]:
        """Set a limit for the platform, a tenant or a network, in every process."""
        await identity.overrides.put(limit, body.subject, body.amount, who.author, body.reason)
        return {"overrides": [overrides.shown(row) for row in await identity.overrides.all()]}

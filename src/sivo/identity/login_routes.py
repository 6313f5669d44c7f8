"""Routes of signing in: password, second factor, refresh."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from sivo.base.errors import SivoError
from sivo.identity import bodies, browser
from sivo.identity.access import bearer_token
from sivo.identity.authentication import note_standing
from sivo.identity.bodies import (
    CodeBody,
    CredentialBody,
    EnrolBody,
    LoginBody,
    MfaAnswer,
    ProofBody,
    RefreshBody,
    TokenAnswer,
)
from sivo.identity.hosts import host_name
from sivo.identity.login import SignIn
from sivo.identity.rates import LOGIN
from sivo.identity.service import Identity
from sivo.identity.tokens import PendingClaims


async def half_signed_in(request: Request, token: Annotated[str | None, Depends(bearer_token)]) -> PendingClaims:
    """The gate of the routes that finish a login: a half-signed-in token. Raises UNAUTHENTICATED."""
    if token is None:
        raise SivoError("UNAUTHENTICATED", "this route needs the token of a login", where="header Authorization")
    identity: Identity = request.app.state.context.identity
    claims = await identity.tokens.verify_pending(token)
    await identity.authentication.check_host(request, claims.tenant_id)
    return claims


Half = Annotated[PendingClaims, Depends(half_signed_in)]


def add(router: APIRouter, identity: Identity) -> None:
    """Add them."""
    _add_login(router, identity)
    _add_proof(router, identity)
    _add_enrolment(router, identity)


def _add_login(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/auth/login", response_model_exclude_none=True)
    @router.post("/auth/login", include_in_schema=False, response_model_exclude_none=True)
    async def login(body: LoginBody, request: Request, response: Response) -> TokenAnswer | MfaAnswer:
        """Sign in with e-mail and password. At most 5 requests in 15 minutes from one address."""
        origin = identity.origin(request)
        limit = identity.overrides.limit(LOGIN, address=identity.address(request))
        host = host_name(request.headers.get("host", ""))
        attempt = SignIn(body.email, body.password.get_secret_value(), body.tenant, host, origin)
        async with identity.passwords.attempt():
            note_standing(request, await identity.rates.take(limit, origin.network))
            outcome = bodies.login_answer(await identity.login.sign_in(attempt))
        return browser.answer(request, response, outcome) if isinstance(outcome, TokenAnswer) else outcome

    @router.post("/api/auth/refresh", response_model_exclude_none=True)
    @router.post("/auth/refresh", include_in_schema=False, response_model_exclude_none=True)
    async def refresh(body: RefreshBody, request: Request, response: Response) -> TokenAnswer:
        """The next tokens of a session. A refresh token serves once; showing an old one ends the session."""
        token = browser.presented(request, body.refresh_token.get_secret_value() if body.refresh_token else None)
        tenant_id = await identity.refresh.tenant_of(token)
        await identity.authentication.check_host(request, tenant_id)
        renewed = await identity.grants.renew(await identity.refresh.use(token, tenant_id))
        return browser.answer(request, response, bodies.tokens(renewed))


def _add_proof(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/auth/mfa", response_model_exclude_none=True)
    async def prove(body: ProofBody, half: Half, request: Request, response: Response) -> TokenAnswer:
        """Finish the login with a code, a recovery code or a security key."""
        outcome = await identity.finishing.prove(half, body.proof(), identity.origin(request))
        return browser.answer(request, response, bodies.finished(outcome))

    @router.post("/api/auth/mfa/webauthn/options")
    async def authentication_options(half: Half) -> dict[str, Any]:
        """Options for ``navigator.credentials.get``."""
        return await identity.finishing.authentication_options(half)


def _add_enrolment(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/auth/mfa/enrol/totp")
    async def begin_totp(body: EnrolBody, half: Half) -> dict[str, str]:
        """Secret and URI for the first authenticator app."""
        return await identity.finishing.begin_totp(half, body.name)

    @router.post("/api/auth/mfa/enrol/totp/confirm", response_model_exclude_none=True)
    async def confirm_totp(body: CodeBody, half: Half, request: Request, response: Response) -> TokenAnswer:
        """Finish the login with the new app's first code; answers recovery codes, this one time."""
        outcome = await identity.finishing.confirm_totp(half, body.code, identity.origin(request))
        return browser.answer(request, response, bodies.finished(outcome))

    @router.post("/api/auth/mfa/enrol/webauthn/options")
    async def registration_options(half: Half) -> dict[str, Any]:
        """Options for ``navigator.credentials.create``."""
        return await identity.finishing.registration_options(half)

    @router.post("/api/auth/mfa/enrol/webauthn", response_model_exclude_none=True)
    async def register(body: CredentialBody, half: Half, request: Request, response: Response) -> TokenAnswer:
        """Finish the login with a new security key; answers recovery codes, this one time."""
        outcome = await identity.finishing.register(half, body.name, body.credential, identity.origin(request))
        return browser.answer(request, response, bodies.finished(outcome))

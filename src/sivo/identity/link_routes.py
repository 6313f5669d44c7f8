"""Routes of one-time links: inviting people, forgotten passwords, changes of address."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, status
from pydantic import AfterValidator, BaseModel, EmailStr, Field, SecretStr

from sivo.api.context import Context
from sivo.config.http import Reason
from sivo.identity import links
from sivo.identity.access import Caller, Permission, Principal, own_session, require
from sivo.identity.authentication import note_standing
from sivo.identity.bodies import Strict
from sivo.identity.forgotten import Forgotten
from sivo.identity.forgotten import Request as ForgottenRequest
from sivo.identity.hosts import host_name
from sivo.identity.link_actions import LinkActions, Made
from sivo.identity.links import Purpose
from sivo.identity.passwords import MAX_LENGTH
from sivo.identity.people_routes import person_in_care
from sivo.identity.rates import LOGIN
from sivo.identity.resources import User
from sivo.identity.session_routes import STEPPED_UP, own_person
from sivo.mail.post import Post

_GONE: dict[int | str, dict[str, Any]] = {410: {"description": "Gone: LINK_REFUSED."}}
Admin = Annotated[Principal, Depends(require(Permission.LOGINS_MANAGE))]
Token = Annotated[SecretStr, Field(min_length=1, max_length=links.MAX_LENGTH)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH)]


class ForgotBody(Strict):
    """Body of POST /api/auth/password/forgot. ``tenant`` is a slug; without it the host or the address decides."""

    email: Annotated[str, Field(min_length=3, max_length=254)]
    tenant: Annotated[str, Field(max_length=63)] = ""


class NewPasswordBody(Strict):
    """The token of a link, and the password that its owner chose."""

    token: Token
    password: Password


class EmailBody(Strict):
    """Body of POST /api/auth/email/change."""

    email: Annotated[EmailStr, Field(max_length=254), AfterValidator(str.lower)]


class TokenBody(Strict):
    """The token of a link."""

    token: Token


class LinkAnswer(BaseModel):
    """Who the link is for, and whether it was mailed. Without a mail server ``link`` has it, this one time."""

    user_id: UUID
    mailed: bool
    expires_in: int
    link: str | None = None


class Accepted(BaseModel):
    """The same for everybody."""

    status: str = "accepted"


def make_router(context: Context) -> APIRouter:
    """All of them."""
    router = APIRouter(tags=["identity"])
    post = Post(context.settings, context.vault, context.clock)
    actions = LinkActions(context.identity, context.resources, post)
    _add_for_admins(router, context, actions)
    _add_forgot(router, context, Forgotten(context.database, context.vault, post, context.clock))
    _add_passwords(router, context, actions)
    _add_email(router, context, actions)
    return router


def _answer(made: Made) -> LinkAnswer:
    seconds = int(links.LIVES[made.purpose].total_seconds())
    return LinkAnswer(
        user_id=made.user_id,
        mailed=made.posted.mailed,
        expires_in=seconds,
        link=None if made.posted.mailed else made.posted.link,
    )


def _add_for_admins(router: APIRouter, context: Context, actions: LinkActions) -> None:
    @router.post("/api/users/invite", status_code=201, dependencies=STEPPED_UP, response_model_exclude_none=True)
    async def invite(body: User, who: Admin, reason: Reason) -> LinkAnswer:
        """Make a user and send them a link, good for 7 days, by which they choose their password."""
        return _answer(await actions.invite(who.tenant_id, body.model_dump(mode="json"), who.author, reason))

    @router.post("/api/users/{user_id}/invitation", dependencies=STEPPED_UP, response_model_exclude_none=True)
    async def invite_again(user_id: UUID, who: Admin) -> LinkAnswer:
        """A new invitation for a user who has no password yet; older ones stop working."""
        await person_in_care(context.identity, who, user_id)
        return _answer(await actions.again(who.tenant_id, user_id, Purpose.INVITATION, who.author))

    @router.post("/api/users/{user_id}/reset", dependencies=STEPPED_UP, response_model_exclude_none=True)
    async def reset(user_id: UUID, who: Admin) -> LinkAnswer:
        """A link, good for an hour, by which a user chooses a new password; older ones stop working."""
        await person_in_care(context.identity, who, user_id)
        return _answer(await actions.again(who.tenant_id, user_id, Purpose.PASSWORD_RESET, who.author))


def _add_forgot(router: APIRouter, context: Context, forgotten: Forgotten) -> None:
    identity = context.identity

    @router.post("/api/auth/password/forgot", status_code=status.HTTP_202_ACCEPTED)
    @router.post("/auth/password/forgot", status_code=status.HTTP_202_ACCEPTED, include_in_schema=False)
    async def forgot(body: ForgotBody, request: Request) -> Accepted:
        """Ask for a link to choose a new password by. The answer never tells whether there is such a user."""
        origin = identity.origin(request)
        limit = identity.overrides.limit(LOGIN, address=identity.address(request))
        note_standing(request, await identity.rates.take(limit, f"forgotten:{origin.network}"))
        host = host_name(request.headers.get("host", ""))
        await forgotten.ask(ForgottenRequest(body.email, body.tenant, host))
        return Accepted()


def _add_passwords(router: APIRouter, context: Context, actions: LinkActions) -> None:
    origin = context.identity.origin

    @router.post("/api/auth/password/reset", status_code=204, responses=_GONE)
    @router.post("/auth/password/reset", status_code=204, include_in_schema=False)
    async def reset(body: NewPasswordBody, request: Request) -> None:
        """Choose a new password by a link; every session ends. Signing in comes next, second factor included."""
        token, password = body.token.get_secret_value(), body.password.get_secret_value()
        await actions.set_password(token, Purpose.PASSWORD_RESET, password, origin(request))

    @router.post("/api/auth/invitation/accept", status_code=204, responses=_GONE)
    @router.post("/auth/invitation/accept", status_code=204, include_in_schema=False)
    async def accept(body: NewPasswordBody, request: Request) -> None:
        """Choose the first password by the link of an invitation. Signing in comes next."""
        token, password = body.token.get_secret_value(), body.password.get_secret_value()
        await actions.set_password(token, Purpose.INVITATION, password, origin(request))


def _add_email(router: APIRouter, context: Context, actions: LinkActions) -> None:
    @router.post("/api/auth/email/change", status_code=status.HTTP_202_ACCEPTED, dependencies=STEPPED_UP)
    @router.post(
        "/auth/email/change", status_code=status.HTTP_202_ACCEPTED, dependencies=STEPPED_UP, include_in_schema=False
    )
    async def change(body: EmailBody, caller: Annotated[Caller, Depends(own_session)]) -> Accepted:
        """Change my address: a link goes to the new one, a notice to the old one. Good for 24 hours."""
        tenant_id, person = await own_person(context.identity, caller)
        await actions.ask_email(tenant_id, person.id, body.email, caller.author)
        return Accepted()

    @router.post("/api/auth/email/confirm", status_code=204, responses=_GONE)
    @router.post("/auth/email/confirm", status_code=204, include_in_schema=False)
    async def confirm(body: TokenBody, request: Request) -> None:
        """Confirm a new address by the link that was sent to it; it is the one to sign in with from now on."""
        await actions.confirm_email(body.token.get_secret_value(), context.identity.origin(request))

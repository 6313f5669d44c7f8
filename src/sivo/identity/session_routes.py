"""Routes about the caller's own session: who am I, sign out, what else am I signed in with, step-up."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from sivo.audit.log import record
from sivo.base.errors import SivoError
from sivo.db.scopes import Connection
from sivo.identity import browser, credentials, factor_rows, links, pending, sessions
from sivo.identity.access import STEP_UP_LIFE, Caller, CallerGate, Permission, own_session, require_step_up
from sivo.identity.bodies import CodeBody, CredentialBody, EnrolBody, OwnPasswordBody, StepUpBody
from sivo.identity.factor_rows import TOTP, WEBAUTHN
from sivo.identity.login import LOGIN_FAILED
from sivo.identity.password_rules import check_new_password
from sivo.identity.people import Person
from sivo.identity.second_factor import wrong
from sivo.identity.service import Identity
from sivo.identity.tokens import refused

Own = Annotated[Caller, Depends(own_session)]
STEPPED_UP = [Depends(require_step_up)]


def add(router: APIRouter, identity: Identity) -> None:
    """Add them."""
    _add_sign_out(router, identity)
    _add_sessions(router, identity)
    _add_own_password(router, identity)
    _add_step_up(router, identity)
    _add_factors(router, identity)
    _add_factor_enrolment(router, identity)


async def own_person(identity: Identity, caller: Caller) -> tuple[UUID, Person]:
    """The caller as a user of their own tenant."""
    assert caller.home_id is not None and caller.user_id is not None
    found = await identity.people.get(caller.home_id, caller.user_id)
    if found is None:
        raise refused("the user of this token has changed")
    return caller.home_id, found


def _add_sign_out(router: APIRouter, identity: Identity) -> None:
    @router.get("/api/me")
    async def me(caller: Annotated[Caller, Depends(CallerGate(Permission.OWN_PROFILE))]) -> dict[str, Any]:
        """Who the token says I am."""
        return {
            "user_id": caller.user_id,
            "tenant_id": caller.tenant_id,
            "role": caller.role,
            "author": caller.author.name,
            **(await _key_of(caller) if caller.key_id is not None else {}),
        }

    async def _key_of(caller: Caller) -> dict[str, Any]:
        """A machine has no slug in a token: which tenant its key belongs to, and what it may."""
        assert caller.home_id is not None
        tenant = await identity.people.tenant_identity(caller.home_id)
        return {"tenant_slug": tenant.slug, "key_id": caller.key_id, "scopes": sorted(caller.scopes)}

    @router.post("/api/auth/logout", status_code=204)
    @router.post("/auth/logout", status_code=204, include_in_schema=False)
    async def logout(caller: Own, request: Request, response: Response) -> None:
        """End the session of this token, everywhere, with the softphones that hang from it."""
        assert caller.session_id is not None and caller.home_id is not None
        browser.forget(request, response)
        async with identity.database.tenant(caller.home_id) as connection:
            await sessions.end_session(connection, caller.home_id, caller.session_id, identity.clock.now())
            entry = caller.author.did("delete", "logout", "session", caller.session_id)
            await record(connection, entry, identity.clock.now())
        identity.authentication.cache.forget_tenant(caller.home_id)

    @router.post("/api/auth/logout-all")
    async def logout_all(caller: Own) -> dict[str, int]:
        """End all my sessions, this one included; how many there were."""
        assert caller.user_id is not None and caller.home_id is not None
        async with identity.database.tenant(caller.home_id) as connection:
            ended = await sessions.end_sessions(
                connection, caller.home_id, caller.user_id, identity.clock.now(), "signed out everywhere"
            )
            entry = caller.author.did("delete", "logout.everywhere", "user", caller.user_id, {"sessions": (ended, 0)})
            await record(connection, entry, identity.clock.now())
        identity.authentication.cache.forget_tenant(caller.home_id)
        return {"ended": ended}


def _add_sessions(router: APIRouter, identity: Identity) -> None:
    @router.get("/api/me/sessions")
    async def list_sessions(caller: Own) -> dict[str, Any]:
        """What I am signed in with; ``current`` is the session of this token."""
        assert caller.user_id is not None and caller.home_id is not None
        async with identity.database.tenant(caller.home_id) as connection:
            found = await sessions.open_sessions(connection, caller.user_id, identity.clock.now())
        return {"items": [{**one, "current": one["id"] == caller.session_id} for one in found]}

    @router.delete("/api/me/sessions/{session_id}", status_code=204)
    async def end_session(session_id: UUID, caller: Own) -> None:
        """End one of my sessions."""
        assert caller.home_id is not None
        async with identity.database.tenant(caller.home_id) as connection:
            session = await sessions.find_session(connection, session_id)
            mine = session is not None and session.user_id == caller.user_id
            if not mine or not await sessions.end_session(
                connection, caller.home_id, session_id, identity.clock.now(), "ended by its user"
            ):
                raise SivoError("NOT_FOUND", "there is no such session", where="session_id")
            entry = caller.author.did("delete", "session.ended", "session", session_id)
            await record(connection, entry, identity.clock.now())
        identity.authentication.cache.forget_tenant(caller.home_id)


def _add_own_password(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/me/password", status_code=204)
    async def change_password(body: OwnPasswordBody, caller: Own) -> None:
        """Change my password; my other sessions end."""
        tenant_id, person = await own_person(identity, caller)
        keys = await identity.people.tenant_identity(tenant_id)
        attempt = await identity.locks.begin(
            identity.locks.account(person.email), f"session:{caller.session_id}", keys.login_max_attempts
        )
        async with identity.database.tenant(tenant_id) as connection:
            stored = await credentials.password_hash(connection, person.id)
        if not await identity.passwords.verify(stored, body.current.get_secret_value()):
            raise SivoError(LOGIN_FAILED, "the current password is wrong", where="current")
        await identity.locks.take_back(attempt)
        password, now = body.password.get_secret_value(), identity.clock.now()
        check_new_password(password, keys.password_min_length, (keys.name, keys.slug, person.name, person.email))
        hashed = await identity.passwords.hash(password)
        async with identity.database.tenant(tenant_id) as connection:
            await credentials.store_password(connection, tenant_id, person.id, hashed, caller.author.name, now)
            await sessions.end_sessions(connection, tenant_id, person.id, now, "new password", but=caller.session_id)
            await record(connection, caller.author.did("update", "password.changed", "user", person.id), now)
            await links.end(connection, person.id, now)
        identity.authentication.cache.forget_tenant(tenant_id)


async def _shown(identity: Identity, connection: Connection, person: Person, body: StepUpBody) -> None:
    """Raises LOGIN_FAILED, MFA_FAILED: the factor, or the password of who has none, was not the right one."""
    if await factor_rows.of_user(connection, person.id):
        await _prove_again(identity, connection, person, body)
        return
    stored = await credentials.password_hash(connection, person.id)
    given = body.password.get_secret_value() if body.password else ""
    if not await identity.passwords.verify(stored, given):
        raise SivoError(LOGIN_FAILED, "the password is wrong", where="password")


def _add_step_up(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/auth/step-up")
    async def step_up(body: StepUpBody, caller: Own) -> dict[str, int]:
        """Show the second factor again (or the password, for who has no factor), for actions that need it."""
        tenant_id, person = await own_person(identity, caller)
        assert caller.session_id is not None
        limit = (await identity.people.tenant_identity(tenant_id)).login_max_attempts
        attempt = await identity.locks.begin(
            identity.locks.account(person.email), f"session:{caller.session_id}", limit
        )
        session = ("session", caller.session_id)
        try:
            async with identity.database.tenant(tenant_id) as connection:
                await _shown(identity, connection, person, body)
                await sessions.confirm(connection, caller.session_id, identity.clock.now())
                await sessions.announce(connection, tenant_id)
                done = caller.author.did("access", "step_up.confirmed", *session)
                await record(connection, done, identity.clock.now())
        except SivoError as error:
            refused = caller.author.did("access", "step_up.failed", *session, {"reason": (None, error.code)})
            async with identity.database.tenant(tenant_id) as connection:  # the one of the attempt has none
                await record(connection, refused, identity.clock.now())
            raise
        await identity.locks.take_back(attempt)
        identity.authentication.cache.forget_tenant(tenant_id)
        return {"valid_for": int(STEP_UP_LIFE.total_seconds())}

    @router.post("/api/auth/step-up/webauthn/options")
    async def options(caller: Own) -> dict[str, Any]:
        """Options for ``navigator.credentials.get``; send ``ceremony`` back with the credential."""
        tenant_id, person = await own_person(identity, caller)
        async with identity.database.tenant(tenant_id) as connection:
            made = await pending.begin(connection, tenant_id, person.id, identity.clock.now())
            found = await identity.factors.authentication_options(connection, person, made.id)
        return {"ceremony": str(made.id), "options": found}


async def _enrolled(identity: Identity, connection: Connection, caller: Caller, person: Person, kind: str) -> None:
    entry = caller.author.did("create", "mfa.enrolled", "user", person.id, {"kind": (None, kind)})
    await record(connection, entry, identity.clock.now())


async def _prove_again(identity: Identity, connection: Any, person: Person, body: StepUpBody) -> None:
    challenge = await _challenge(identity, connection, person, body.ceremony)
    if await identity.factors.prove(connection, person, body.proof(), challenge) is None:
        raise wrong()


async def _challenge(identity: Identity, connection: Any, person: Person, ceremony: str | None) -> bytes | None:
    """The challenge of a ceremony, which is over with this; None without one."""
    try:
        wanted = UUID(ceremony or "")
    except ValueError:
        return None
    found = await pending.find(connection, wanted, person.id, identity.clock.now())
    if found is None:
        return None
    await pending.finish(connection, found.id, identity.clock.now())
    return found.challenge


def _add_factors(router: APIRouter, identity: Identity) -> None:
    @router.get("/api/me/factors")
    async def list_factors(caller: Own) -> dict[str, Any]:
        """My second factors."""
        tenant_id, person = await own_person(identity, caller)
        async with identity.database.tenant(tenant_id) as connection:
            found = await factor_rows.of_user(connection, person.id)
        return {
            "items": [
                {
                    "id": str(one.id),
                    "kind": one.kind,
                    "name": one.name,
                    "created_at": one.created_at,
                    "used_at": one.used_at,
                }
                for one in found
            ]
        }

    @router.delete("/api/me/factors/{factor_id}", status_code=204, dependencies=STEPPED_UP)
    async def remove_factor(factor_id: UUID, caller: Own) -> None:
        """Remove a factor; the last one stays while my role must have one."""
        tenant_id, person = await own_person(identity, caller)
        required = (await identity.people.tenant_identity(tenant_id)).requires_factor(person.role)
        async with identity.database.tenant(tenant_id) as connection:
            removed = await factor_rows.remove(connection, person.id, factor_id)
            if not removed:
                raise SivoError("NOT_FOUND", "there is no such factor", where="factor_id")
            if required and not await factor_rows.of_user(connection, person.id):
                raise SivoError(
                    "VALIDATION_FAILED",
                    "your role must have a second factor",
                    where="factor_id",
                    remedy="add another one first",
                )
            entry = caller.author.did("delete", "mfa.removed", "user", person.id, {"factor": (factor_id.hex, None)})
            await record(connection, entry, identity.clock.now())

    @router.post("/api/me/recovery-codes", dependencies=STEPPED_UP)
    async def recovery_codes(caller: Own) -> dict[str, list[str]]:
        """Eight new recovery codes; the old ones are worth nothing from now on."""
        tenant_id, person = await own_person(identity, caller)
        async with identity.database.tenant(tenant_id) as connection:
            entry = caller.author.did("update", "mfa.recovery_codes_replaced", "user", person.id)
            await record(connection, entry, identity.clock.now())
            return {"recovery_codes": await identity.factors.new_recovery_codes(connection, person)}


def _add_factor_enrolment(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/me/factors/totp", dependencies=STEPPED_UP)
    async def begin_totp(body: EnrolBody, caller: Own) -> dict[str, str]:
        """Secret and URI of one more authenticator app."""
        tenant_id, person = await own_person(identity, caller)
        async with identity.database.tenant(tenant_id) as connection:
            return await identity.factors.begin_totp(connection, person, body.name)

    @router.post("/api/me/factors/totp/confirm", dependencies=STEPPED_UP)
    async def confirm_totp(body: CodeBody, caller: Own) -> dict[str, list[str]]:
        """The app's first code; recovery codes when it is my first factor."""
        tenant_id, person = await own_person(identity, caller)
        async with identity.database.tenant(tenant_id) as connection:
            codes = await identity.factors.confirm_totp(connection, person, body.code)
            if codes is not None:
                await _enrolled(identity, connection, caller, person, TOTP)
        if codes is None:
            raise wrong()
        return {"recovery_codes": codes}

    @router.post("/api/me/factors/webauthn/options", dependencies=STEPPED_UP)
    async def registration_options(caller: Own) -> dict[str, Any]:
        """Options for ``navigator.credentials.create``; send ``ceremony`` back with the credential."""
        tenant_id, person = await own_person(identity, caller)
        async with identity.database.tenant(tenant_id) as connection:
            made = await pending.begin(connection, tenant_id, person.id, identity.clock.now())
            found = await identity.factors.registration_options(connection, person, made.id)
        return {"ceremony": str(made.id), "options": found}

    @router.post("/api/me/factors/webauthn", dependencies=STEPPED_UP)
    async def register(body: CredentialBody, caller: Own) -> dict[str, list[str]]:
        """One more security key; recovery codes when it is my first factor."""
        tenant_id, person = await own_person(identity, caller)
        async with identity.database.tenant(tenant_id) as connection:
            challenge = await _challenge(identity, connection, person, body.ceremony)
            codes = await identity.factors.register(connection, person, body.name, body.credential, challenge)
            if codes is not None:
                await _enrolled(identity, connection, caller, person, WEBAUTHN)
        if codes is None:
            raise wrong()
        return {"recovery_codes": codes}

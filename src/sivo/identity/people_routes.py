"""Routes by which administrators look after their people's logins."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends

from sivo.audit.log import record
from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.identity import credentials, factor_rows, links, sessions
from sivo.identity.access import Permission, Principal, Role, require
from sivo.identity.bodies import PasswordBody
from sivo.identity.password_rules import check_new_password
from sivo.identity.people import Person
from sivo.identity.service import Identity
from sivo.identity.session_routes import STEPPED_UP

Admin = Annotated[Principal, Depends(require(Permission.LOGINS_MANAGE))]
_log = logs.get("identity")


def add(router: APIRouter, identity: Identity) -> None:
    """Add them."""
    _add_password(router, identity)
    _add_sessions(router, identity)
    _add_rescue(router, identity)


async def person_in_care(identity: Identity, who: Principal, user_id: UUID) -> Person:
    """A user whose login ``who`` may look after. Raises NOT_FOUND, INSUFFICIENT_ROLE."""
    found = await identity.people.get(who.tenant_id, user_id)
    if found is None:
        raise SivoError("NOT_FOUND", "there is no such user in this tenant", where="user_id")
    if found.role is Role.SUPERADMIN and who.role is not Role.SUPERADMIN:
        raise SivoError("INSUFFICIENT_ROLE", "only a superadmin looks after the login of a superadmin")
    return found


def _add_password(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/users/{user_id}/password", status_code=204, dependencies=STEPPED_UP)
    async def set_password(user_id: UUID, body: PasswordBody, who: Admin) -> None:
        """Set a user's password and end their sessions."""
        password = body.password.get_secret_value()
        keys = await identity.people.tenant_identity(who.tenant_id)
        person = await identity.people.get(who.tenant_id, user_id)
        names = (keys.name, keys.slug, *((person.name, person.email) if person else ()))
        check_new_password(password, keys.password_min_length, names)
        await person_in_care(identity, who, user_id)
        hashed = await identity.passwords.hash(password)
        now = identity.clock.now()
        async with identity.database.tenant(who.tenant_id) as connection:
            await credentials.store_password(connection, who.tenant_id, user_id, hashed, who.author.name, now)
            await sessions.end_sessions(connection, who.tenant_id, user_id, now, "new password")
            await record(connection, who.author.did("update", "password.changed", "user", user_id), now)
            await links.end(connection, user_id, now)
        identity.authentication.cache.forget_tenant(who.tenant_id)


def _add_sessions(router: APIRouter, identity: Identity) -> None:
    @router.get("/api/users/{user_id}/sessions")
    async def list_sessions(user_id: UUID, who: Admin) -> dict[str, Any]:
        """What a user is signed in with."""
        await person_in_care(identity, who, user_id)
        async with identity.database.tenant(who.tenant_id) as connection:
            return {"items": await sessions.open_sessions(connection, user_id, identity.clock.now())}

    @router.delete("/api/users/{user_id}/sessions")
    async def end_sessions(user_id: UUID, who: Admin) -> dict[str, int]:
        """End every session of a user; how many there were."""
        await person_in_care(identity, who, user_id)
        async with identity.database.tenant(who.tenant_id) as connection:
            ended = await sessions.end_sessions(
                connection, who.tenant_id, user_id, identity.clock.now(), f"ended by {who.author.name}"
            )
            entry = who.author.did("delete", "session.ended", "user", user_id, {"sessions": (ended, 0)})
            await record(connection, entry, identity.clock.now())
        identity.authentication.cache.forget_tenant(who.tenant_id)
        return {"ended": ended}


def _add_rescue(router: APIRouter, identity: Identity) -> None:
    @router.post("/api/users/{user_id}/unlock")
    async def unlock(user_id: UUID, who: Admin) -> dict[str, bool]:
        """Forget a user's failed logins; whether the login was locked."""
        person = await person_in_care(identity, who, user_id)
        was_locked = await identity.locks.unlock(person.email)
        async with identity.database.tenant(who.tenant_id) as connection:
            entry = who.author.did("update", "login.unlocked", "user", user_id, {"locked": (was_locked, False)})
            await record(connection, entry, identity.clock.now())
        _log.info("login unlocked", tenant=str(who.tenant_id), user=str(user_id), author=who.author.name)
        return {"was_locked": was_locked}

    @router.delete("/api/users/{user_id}/factors", dependencies=STEPPED_UP)
    async def reset_factors(user_id: UUID, who: Admin) -> dict[str, int]:
        """Take a user's second factors away (a lost phone) and end their sessions; how many factors there were."""
        await person_in_care(identity, who, user_id)
        async with identity.database.tenant(who.tenant_id) as connection:
            removed = await factor_rows.remove(connection, user_id)
            await sessions.end_sessions(
                connection, who.tenant_id, user_id, identity.clock.now(), "second factors were reset"
            )
            entry = who.author.did("delete", "mfa.reset", "user", user_id, {"factors": (removed, 0)})
            await record(connection, entry, identity.clock.now())
        identity.authentication.cache.forget_tenant(who.tenant_id)
        _log.warning("second factors reset", tenant=str(who.tenant_id), user=str(user_id), author=who.author.name)
        return {"removed": removed}

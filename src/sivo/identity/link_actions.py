"""What one-time links are made for and what they do: invitations, new passwords, changed addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.audit.log import record
from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.base.ids import uuid7
from sivo.config import state
from sivo.config.change import Author, Create, Update
from sivo.config.resources import Resources
from sivo.db.scopes import Connection
from sivo.identity import credentials, letters, links, pending, sessions
from sivo.identity.access import Role
from sivo.identity.grants import From
from sivo.identity.links import Purpose
from sivo.identity.password_rules import check_new_password
from sivo.identity.people import Person, person
from sivo.identity.service import Identity
from sivo.mail.post import Post, Posted
from sivo.mail.template import Kind

MAIL_NOT_CONFIGURED = register("MAIL_NOT_CONFIGURED", 409)
HAS_PASSWORD = register("USER_HAS_PASSWORD", 409)
_log = logs.get("identity")


@dataclass(frozen=True, slots=True)
class Made:
    """A link for a user: on its way by mail, or in ``posted.link`` for who asked."""

    user_id: UUID
    purpose: Purpose
    posted: Posted


class LinkActions:
    """Makes and takes one-time links."""

    def __init__(self, identity: Identity, resources: Resources, post: Post) -> None:
        self._identity = identity
        self._resources = resources
        self._post = post

    # --- making them ---------------------------------------------------------------------------------------------

    async def invite(self, tenant_id: UUID, body: Mapping[str, Any], author: Author, reason: str) -> Made:
        """A new user and the link by which they choose a password; both or neither. ALREADY_EXISTS and others."""
        user_id, posted = uuid7(), Posted(False)

        async def also(connection: Connection) -> None:
            nonlocal posted
            posted = await self._link(connection, tenant_id, user_id, Purpose.INVITATION, author)

        await self._post.ready(tenant_id)
        await self._resources.apply(tenant_id, author, reason, [Create("user", body, user_id)], also=also)
        return Made(user_id, Purpose.INVITATION, posted)

    async def again(self, tenant_id: UUID, user_id: UUID, purpose: Purpose, author: Author) -> Made:
        """A new link for a user who is there. USER_HAS_PASSWORD when somebody invites who can sign in already."""
        await self._post.ready(tenant_id)
        async with self._identity.database.tenant(tenant_id) as connection:
            if purpose is Purpose.INVITATION and await credentials.password_hash(connection, user_id):
                raise SivoError(
                    HAS_PASSWORD,
                    "this user has a password already",
                    where="user_id",
                    remedy="POST /api/users/{user_id}/reset makes a link for a new one",
                )
            posted = await self._link(connection, tenant_id, user_id, purpose, author)
        return Made(user_id, purpose, posted)

    async def ask_email(self, tenant_id: UUID, user_id: UUID, email: str, author: Author) -> None:
        """A link to the new address, a notice to the old one. MAIL_NOT_CONFIGURED: only a mail proves an address.

        Whether somebody has the new address already is not told here: its owner learns it when they confirm.
        """
        if not self._post.configured:
            raise SivoError(
                MAIL_NOT_CONFIGURED,
                "this installation sends no mail, so a new address cannot be confirmed",
                remedy="ask an administrator to change it: PATCH /api/users/{user_id}",
            )
        await self._post.ready(tenant_id)
        async with self._identity.database.tenant(tenant_id) as connection:
            body = await self._body(connection, tenant_id, user_id)
            purpose, now = Purpose.EMAIL_CHANGE, self._identity.clock.now()
            token = await links.issue(connection, tenant_id, user_id, purpose, author.name, now, email)
            await self._post.put(connection, tenant_id, letters.with_link(user_id, body, purpose, token, email))
            told = letters.notice(user_id, body, Kind.EMAIL_CHANGE_NOTICE, new_email=email)
            await self._post.put(connection, tenant_id, told)
            diff = {"email": (body["email"], email)}
            await record(connection, author.did("update", "email.change_asked", "user", user_id, diff), now)

    async def _link(
        self, connection: Connection, tenant_id: UUID, user_id: UUID, purpose: Purpose, author: Author
    ) -> Posted:
        body = await self._body(connection, tenant_id, user_id)
        now = self._identity.clock.now()
        token = await links.issue(connection, tenant_id, user_id, purpose, author.name, now)
        await record(connection, author.did("create", f"{purpose}.link_made", "user", user_id), now)
        _log.info("link made", tenant=str(tenant_id), user=str(user_id), purpose=str(purpose), author=author.name)
        return await self._post.put(connection, tenant_id, letters.with_link(user_id, body, purpose, token))

    async def _body(self, connection: Connection, tenant_id: UUID, user_id: UUID) -> dict[str, Any]:
        found = (await state.resources_by_id(connection, tenant_id, [user_id])).get(user_id)
        if found is None or found.kind != "user":
            raise SivoError("NOT_FOUND", "there is no such user in this tenant", where="user_id")
        return found.body

    # --- taking them ---------------------------------------------------------------------------------------------

    async def set_password(self, token: str, purpose: Purpose, password: str, origin: From) -> None:
        """Set the password of the link's user and end all their sessions. No tokens are given: they sign in next,
        with the second factor that their role or they themselves asked for.

        Raises LINK_REFUSED, PASSWORD_TOO_SHORT, PASSWORD_TOO_COMMON; a refused password leaves the link as it is.
        """
        identity = self._identity
        tenant_id = await links.tenant_of(identity.database, token)
        async with identity.database.tenant(tenant_id) as connection:
            link = await links.find(connection, token, purpose, identity.clock.now())
            who = await person(connection, tenant_id, link.user_id)
            keys = await identity.people.identity_in(connection, tenant_id)
        if who is None or not who.may_sign_in:
            raise links.refusal()
        check_new_password(password, keys.password_min_length, (keys.name, keys.slug, who.name, who.email))
        hashed = await identity.passwords.hash(password)
        await self._post.ready(tenant_id)
        async with identity.database.tenant(tenant_id) as connection:
            now, author = identity.clock.now(), _themselves(who, origin)
            await links.use(connection, token, purpose, now)
            await credentials.store_password(connection, tenant_id, link.user_id, hashed, author.name, now)
            await record(connection, author.did("update", "password.changed", "user", link.user_id), now)
            await sessions.end_sessions(connection, tenant_id, link.user_id, now, "new password")
            await pending.end(connection, link.user_id, now)
            await links.end(connection, link.user_id, now)
            if purpose is Purpose.PASSWORD_RESET:
                body = await self._body(connection, tenant_id, link.user_id)
                await self._post.put(connection, tenant_id, letters.notice(link.user_id, body, Kind.PASSWORD_CHANGED))
        identity.authentication.cache.forget_tenant(tenant_id)
        _log.info("password set by link", tenant=str(tenant_id), user=str(link.user_id), purpose=str(purpose))

    async def confirm_email(self, token: str, origin: From) -> None:
        """Give the link's user the address that it was sent to: a change-set like any other.

        Raises LINK_REFUSED; ALREADY_EXISTS when the address belongs to another user (its owner is who asks here).
        """
        identity, purpose = self._identity, Purpose.EMAIL_CHANGE
        tenant_id = await links.tenant_of(identity.database, token)
        async with identity.database.tenant(tenant_id) as connection:
            link = await links.find(connection, token, purpose, identity.clock.now())
            who = await person(connection, tenant_id, link.user_id)
            before = await self._body(connection, tenant_id, link.user_id)
        if who is None or not who.may_sign_in or link.new_email is None:
            raise links.refusal()

        async def first(connection: Connection) -> None:
            await links.use(connection, token, purpose, identity.clock.now())

        async def also(connection: Connection) -> None:
            assert link.new_email is not None
            now = identity.clock.now()
            await links.end(connection, link.user_id, now)
            diff = {"email": (before["email"], link.new_email)}
            themselves = _themselves(who, origin)
            await record(connection, themselves.did("update", "email.changed", "user", link.user_id, diff), now)
            told = letters.notice(link.user_id, before, Kind.EMAIL_CHANGED, new_email=link.new_email)
            await self._post.put(connection, tenant_id, told)

        await self._post.ready(tenant_id)
        # People may not write users; this one field of their own is changed for them by the platform.
        author = Author("system:email-change", Role.SUPERADMIN.value)
        change = Update("user", link.user_id, {"email": link.new_email})
        reason = f"user {link.user_id} confirmed the new address"
        await self._resources.apply(tenant_id, author, reason, [change], precondition=first, also=also)
        _log.info("e-mail address changed", tenant=str(tenant_id), user=str(link.user_id))


def _themselves(who: Person, origin: From) -> Author:
    """Who holds a link that was sent to them."""
    return Author(f"user:{who.id}", who.role.value, who.email, origin.address, origin.client)

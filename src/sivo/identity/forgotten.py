"""Forgotten passwords: the request is one row, whoever it is about; the worker does the rest behind the answer.

So the answer and the time that it takes cannot tell whether there is such a user: the same work was done. Nobody gets
more mails than the login limit lets requests through, counted for each address that was typed in.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from sivo.audit.log import SYSTEM, AuditEntry, record
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.config import state
from sivo.db.scopes import Connection, Database
from sivo.identity import letters, links
from sivo.identity.directory import DASHBOARD_HOST, EMAIL, SLUG, Directory
from sivo.identity.links import LIVES, Purpose
from sivo.identity.people import person
from sivo.identity.rates import LOGIN
from sivo.identity.shared_rates import ExactRates
from sivo.mail.post import Post
from sivo.vault.vault import Vault

_AT_ONCE = 20
_log = logs.get("identity")


class Request(msgspec.Struct, frozen=True):
    """What was typed: the address, and the tenant by slug or else by the host of its console."""

    email: str
    tenant: str = ""
    host: str = ""


def _purpose(request_id: UUID) -> str:
    return f"forgotten:{request_id}"


class Forgotten:
    """Takes requests in (``api``) and works them off (``worker``)."""

    def __init__(self, database: Database, vault: Vault, post: Post, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._post = post
        self._clock = clock
        self._directory = Directory(database, clock)
        self._rates = ExactRates(database, clock)

    async def ask(self, request: Request) -> None:
        """Keep a request. The same work for every address."""
        request_id = uuid7()
        sealed = await self._vault.seal_platform(_purpose(request_id), msgspec.json.encode(request))
        async with self._database.platform("identity: forgotten password") as connection:
            await connection.execute(
                "insert into forgotten_password (id, sealed, created_at) values ($1, $2, $3)",
                request_id,
                sealed,
                self._clock.now(),
            )

    async def run_once(self) -> bool:
        """Work waiting requests off; whether there were any. A request that a kill interrupts is done again."""
        async with self._database.platform("identity: forgotten passwords") as connection:
            rows = await connection.fetch(
                "select id, sealed, created_at from forgotten_password order by created_at, id limit $1"
                " for update skip locked",
                _AT_ONCE,
            )
            for row in rows:
                try:
                    await self._answer(row["id"], row["sealed"], row["created_at"])
                except SivoError as error:
                    if error.code == "UNAVAILABLE":
                        raise
                    # One request that cannot be answered must not hold up the others; who asked can ask again.
                    _log.error("forgotten password dropped", code=error.code)
            await connection.execute("delete from forgotten_password where id = any($1)", [row["id"] for row in rows])
        return bool(rows)

    async def _answer(self, request_id: UUID, sealed: bytes, asked_at: datetime) -> None:
        opened = await self._vault.open_platform(_purpose(request_id), sealed)
        request = msgspec.json.decode(opened, type=Request)
        found = await self._directory.find(EMAIL, request.email)
        if found is None or await self._elsewhere(request, found.tenant_id):
            return
        if asked_at + LIVES[Purpose.PASSWORD_RESET] <= self._clock.now():
            return
        if not self._post.configured:
            _log.warning("no mail server for a forgotten password", tenant=str(found.tenant_id), user=str(found.id))
            return
        account = self._vault.fingerprint(f"forgotten:{request.email.strip().lower()}")
        if (await self._rates.take(LOGIN, f"forgotten:{account}")).refused:
            return
        await self._post.ready(found.tenant_id)
        async with self._database.tenant(found.tenant_id) as connection:
            await self._mail(connection, found.tenant_id, found.id)

    async def _elsewhere(self, request: Request, tenant_id: UUID) -> bool:
        """Whether another tenant than the user's was named."""
        space, name = (SLUG, request.tenant) if request.tenant else (DASHBOARD_HOST, request.host)
        named = await self._directory.find(space, name)
        return named.tenant_id != tenant_id if named else bool(request.tenant)

    async def _mail(self, connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
        who = await person(connection, tenant_id, user_id)
        resource = (await state.resources_by_id(connection, tenant_id, [user_id])).get(user_id)
        if who is None or resource is None or not who.may_sign_in:
            return
        now = self._clock.now()
        purpose = Purpose.PASSWORD_RESET
        token = await links.issue(connection, tenant_id, user_id, purpose, f"user:{user_id}", now)
        await self._post.put(connection, tenant_id, letters.with_link(user_id, resource.body, purpose, token))
        made = AuditEntry("create", "password_reset.link_made", "user", str(user_id), SYSTEM)
        await record(connection, made, now)  # who asked is not known: anybody can
        _log.info("password reset mailed", tenant=str(tenant_id), user=str(user_id))

"""Signing in with e-mail and password.

Unknown tenant, unknown user, no password, wrong password, inactive user and suspended tenant all cost the same
hash and are answered alike, so that nobody learns who has an account.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.db.scopes import Database
from sivo.identity import credentials
from sivo.identity.directory import DASHBOARD_HOST, EMAIL, SLUG, Directory, Named
from sivo.identity.factors import FactorPolicy, PendingFactor
from sivo.identity.passwords import Passwords
from sivo.identity.people import People, Person
from sivo.identity.tokens import Subject, Tokens

LOGIN_FAILED = register("LOGIN_FAILED", 401)
#: Looked up in place of an unknown user, so that the same queries run.
NOBODY = Named(UUID(int=0), UUID(int=0))
_log = logs.get("identity")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a client sent. ``tenant`` is a slug or empty, ``host`` the Host header without its port."""

    email: str
    password: str
    tenant: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A finished login."""

    access_token: str
    expires_in: int


class Login:
    """Checks passwords and opens sessions."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        people: People,
        passwords: Passwords,
        tokens: Tokens,
        factors: FactorPolicy,
        clock: Clock,
    ) -> None:
        self._database = database
        self._directory = directory
        self._people = people
        self._passwords = passwords
        self._tokens = tokens
        self._factors = factors
        self._clock = clock

    async def sign_in(self, attempt: SignIn) -> SignedIn | PendingFactor:
        """A token, or the next step. Raises LOGIN_FAILED, or UNAVAILABLE when too many hashes are waiting."""
        person = await self._find(attempt)
        stored = await self._stored_hash(person)
        right = await self._passwords.verify(stored, attempt.password)
        if person is None or stored is None or not right or not person.may_sign_in:
            _log.info("login refused", tenant=str(person.tenant_id) if person else None)
            raise SivoError(
                LOGIN_FAILED,
                "e-mail address or password is wrong",
                remedy="check both, and the tenant you named",
            )
        if self._passwords.outdated(stored):
            await self._rehash(person, stored, attempt.password)
        pending = await self._factors.next_step(person)
        return pending or await self._finish(person)

    async def _find(self, attempt: SignIn) -> Person | None:
        named = await self._named_tenant(attempt)
        found = await self._directory.find(EMAIL, attempt.email) or NOBODY
        person = await self._people.get(found.tenant_id, found.id)
        elsewhere = named is not None and named != found.tenant_id
        return None if elsewhere or (named is None and attempt.tenant) else person

    async def _named_tenant(self, attempt: SignIn) -> UUID | None:
        """The tenant named by slug, else by the host of its console; None when neither names one."""
        space, name = (SLUG, attempt.tenant) if attempt.tenant else (DASHBOARD_HOST, attempt.host)
        found = await self._directory.find(space, name)
        return found.tenant_id if found else None

    async def _stored_hash(self, person: Person | None) -> str | None:
        tenant_id, user_id = (person.tenant_id, person.id) if person else (NOBODY.tenant_id, NOBODY.id)
        async with self._database.tenant(tenant_id) as connection:
            return await credentials.password_hash(connection, user_id)

    async def _rehash(self, person: Person, old: str, password: str) -> None:
        new = await self._passwords.hash(password)
        async with self._database.tenant(person.tenant_id) as connection:
            await credentials.rehash(connection, person.id, old, new)

    async def _finish(self, person: Person) -> SignedIn:
        identity = await self._people.tenant_identity(person.tenant_id)
        now = self._clock.now()
        async with self._database.tenant(person.tenant_id) as connection:
            session = await credentials.open_session(connection, person.tenant_id, person.id, now, identity.jwt_ttl_sec)
        subject = Subject(person.id, identity.slug, identity.sip_domain, person.role, session.id)
        _log.info("login", tenant=str(person.tenant_id), user=str(person.id), session=str(session.id))
        return SignedIn(self._tokens.issue(subject, identity.jwt_ttl_sec), identity.jwt_ttl_sec)

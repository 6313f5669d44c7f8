"""Signing in with e-mail and password, and what comes between that and a full token.

Unknown tenant, unknown user, no password, wrong password, inactive user and suspended tenant all cost the same
hash, count the same and are answered alike, so that nobody learns who has an account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Database
from sivo.identity import credentials, pending
from sivo.identity.directory import DASHBOARD_HOST, EMAIL, SLUG, Directory, Named
from sivo.identity.grants import From, Granted, Grants
from sivo.identity.lock_store import LOGIN_LOCKED, Locks
from sivo.identity.passwords import Passwords
from sivo.identity.people import People, Person
from sivo.identity.second_factor import SecondFactors
from sivo.identity.tokens import PendingClaims, Tokens
from sivo.identity.trail import Trail

LOGIN_FAILED = register("LOGIN_FAILED", 401)
#: Looked up in place of an unknown user, so that the same queries run.
NOBODY = Named(UUID(int=0), UUID(int=0))
_log = logs.get("identity")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a client sent. ``tenant`` is a slug or empty, ``host`` the Host header without its port."""

    email: str
    password: str = field(repr=False)
    tenant: str = ""
    host: str = ""
    origin: From = field(default_factory=lambda: From(""))


@dataclass(frozen=True, slots=True)
class PendingFactor:
    """The password was right; ``token`` can only finish the login. No ``methods``: a factor must be enrolled."""

    token: str
    expires_in: int
    methods: tuple[str, ...]


class Login:
    """Checks passwords, then asks for a second factor where one is due."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        people: People,
        passwords: Passwords,
        tokens: Tokens,
        factors: SecondFactors,
        locks: Locks,
        grants: Grants,
        clock: Clock,
    ) -> None:
        self._database = database
        self._directory = directory
        self._people = people
        self._passwords = passwords
        self._tokens = tokens
        self._factors = factors
        self._locks = locks
        self._grants = grants
        self._clock = clock
        self._trail = Trail(database, clock)

    async def sign_in(self, attempt: SignIn) -> Granted | PendingFactor:
        """Tokens, or the next step.

        Raises LOGIN_FAILED, LOGIN_LOCKED after ``auth.login_max_attempts`` failures, UNAVAILABLE when too many hashes
        are waiting.
        """
        named = await self._named_tenant(attempt)
        found = await self._directory.find(EMAIL, attempt.email) or NOBODY
        person = await self._people.get(found.tenant_id, found.id)
        limit = await self._limit(named or (person.tenant_id if person else None))
        account = self._locks.account(attempt.email)
        try:
            counted = await self._locks.begin(account, attempt.origin.network, limit)
        except SivoError as error:
            if error.code == LOGIN_LOCKED:
                await self._trail.refused(person, named, account, attempt.origin, "login.locked", "too many failures")
            raise
        elsewhere = named != found.tenant_id if named else bool(attempt.tenant)
        try:
            checked = await self._check(None if elsewhere else person, attempt.password)
        except SivoError:  # nobody looked at the password: a crowd at the door must not lock its owner out
            await self._locks.take_back(counted)
            raise
        if checked is None:
            await self._trail.refused(person, named, account, attempt.origin, "login.failed", "password")
            raise SivoError(
                LOGIN_FAILED,
                "e-mail address or password is wrong",
                remedy="check both, and the tenant you named",
            )
        await self._locks.take_back(counted)
        step = await self._next_step(checked, attempt.origin)
        if step is not None:
            return step
        await self._locks.succeeded(account, attempt.origin.network)
        return await self._grants.open(checked, None, attempt.origin)

    async def _check(self, person: Person | None, password: str) -> Person | None:
        """The person if the password is theirs and they may sign in; the same work either way."""
        stored = await self._stored_hash(person)
        right = await self._passwords.verify(stored, password)
        if person is None or stored is None or not right or not person.may_sign_in:
            _log.info("login refused", tenant=str(person.tenant_id) if person else None)
            return None
        if self._passwords.outdated(stored):
            await self._rehash(person, stored, password)
        return person

    async def _named_tenant(self, attempt: SignIn) -> UUID | None:
        """The tenant named by slug, else by the host of its console; None when neither names one."""
        space, name = (SLUG, attempt.tenant) if attempt.tenant else (DASHBOARD_HOST, attempt.host)
        found = await self._directory.find(space, name)
        return found.tenant_id if found else None

    async def _limit(self, tenant_id: UUID | None) -> int:
        """``auth.login_max_attempts`` of the tenant that was named, else of the account's, else of the platform.

        One read either way, so that time does not tell either.
        """
        return (await self._people.tenant_identity(tenant_id or PLATFORM_ID)).login_max_attempts

    async def _stored_hash(self, person: Person | None) -> str | None:
        tenant_id, user_id = (person.tenant_id, person.id) if person else (NOBODY.tenant_id, NOBODY.id)
        async with self._database.tenant(tenant_id) as connection:
            return await credentials.password_hash(connection, user_id)

    async def _rehash(self, person: Person, old: str, password: str) -> None:
        new = await self._passwords.hash(password)
        async with self._database.tenant(person.tenant_id) as connection:
            await credentials.rehash(connection, person.id, old, new)

    async def _next_step(self, person: Person, origin: From) -> PendingFactor | None:
        """A second factor, when the role must have one or the person has enrolled one."""
        identity = await self._people.tenant_identity(person.tenant_id)
        async with self._database.tenant(person.tenant_id) as connection:
            methods = await self._factors.methods(connection, person.id)
            if not methods and not identity.requires_factor(person.role):
                return None
            made = await pending.begin(
                connection, person.tenant_id, person.id, self._clock.now(), origin.address, origin.client
            )
        token = self._tokens.issue_pending(PendingClaims(person.id, person.tenant_id, made.id), pending.LIFE_S)
        return PendingFactor(token, pending.LIFE_S, tuple(methods))

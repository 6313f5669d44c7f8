"""From a half-signed-in token to a session: proving a second factor, or enrolling the first one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.db.scopes import Connection, Database
from sivo.identity import factor_rows, pending
from sivo.identity.factor_rows import TOTP, WEBAUTHN
from sivo.identity.grants import From, Granted, Grants
from sivo.identity.lock_store import LOGIN_LOCKED, Locks
from sivo.identity.pending import Pending
from sivo.identity.people import People, Person, person
from sivo.identity.second_factor import MFA_ALREADY_ENROLLED, Proof, SecondFactors, wrong
from sivo.identity.tokens import PendingClaims, refused
from sivo.identity.trail import Trail, entry_of


@dataclass(frozen=True, slots=True)
class Half:
    """Somebody whose password was right, in an open scope of their tenant."""

    connection: Connection
    person: Person
    pending: Pending


@dataclass(frozen=True, slots=True)
class Finished:
    """Tokens; ``recovery_codes`` (shown this one time) when the first factor was enrolled."""

    granted: Granted
    recovery_codes: tuple[str, ...] = ()


class Finishing:
    """What a half-signed-in token can do, and nothing else can be done with it.

    A wrong factor counts as a failed login of the account, so that codes cannot be tried out.
    """

    def __init__(
        self, database: Database, people: People, factors: SecondFactors, locks: Locks, grants: Grants, clock: Clock
    ) -> None:
        self._database = database
        self._people = people
        self._factors = factors
        self._locks = locks
        self._grants = grants
        self._clock = clock
        self._trail = Trail(database, clock)

    async def prove(self, claims: PendingClaims, proof: Proof, origin: From) -> Finished:
        """Finish with a factor. Raises MFA_FAILED, LOGIN_LOCKED, UNAUTHENTICATED when the ceremony is over."""
        async with self._counted(claims, origin), self._half(claims) as half:
            kind = await self._factors.prove(half.connection, half.person, proof, half.pending.challenge)
            if kind is None:
                raise wrong()
            await pending.finish(half.connection, half.pending.id, self._clock.now())
        return await self._granted(half, kind, origin, [])

    async def authentication_options(self, claims: PendingClaims) -> dict[str, Any]:
        """Options for ``navigator.credentials.get``."""
        async with self._half(claims) as half:
            return await self._factors.authentication_options(half.connection, half.person, half.pending.id)

    async def begin_totp(self, claims: PendingClaims, name: str) -> dict[str, str]:
        """A secret for the first authenticator app. Raises MFA_ALREADY_ENROLLED."""
        async with self._half(claims) as half:
            await self._first(half)
            return await self._factors.begin_totp(half.connection, half.person, name)

    async def confirm_totp(self, claims: PendingClaims, code: str, origin: From) -> Finished:
        """Finish the login with the first code of the new app. Raises MFA_FAILED, MFA_ALREADY_ENROLLED."""
        async with self._counted(claims, origin), self._half(claims) as half:
            await self._first(half)
            codes = await self._factors.confirm_totp(half.connection, half.person, code)
            if codes is None:
                raise wrong()
            await pending.finish(half.connection, half.pending.id, self._clock.now())
            await self._enrolled(half, TOTP, origin)
        return await self._granted(half, TOTP, origin, codes)

    async def registration_options(self, claims: PendingClaims) -> dict[str, Any]:
        """Options for ``navigator.credentials.create``. Raises MFA_ALREADY_ENROLLED."""
        async with self._half(claims) as half:
            await self._first(half)
            return await self._factors.registration_options(half.connection, half.person, half.pending.id)

    async def register(self, claims: PendingClaims, name: str, credential: dict[str, Any], origin: From) -> Finished:
        """Finish the login with a new security key. Raises MFA_FAILED, MFA_ALREADY_ENROLLED."""
        async with self._counted(claims, origin), self._half(claims) as half:
            await self._first(half)
            challenge = half.pending.challenge
            codes = await self._factors.register(half.connection, half.person, name, credential, challenge)
            if codes is None:
                raise wrong()
            await pending.finish(half.connection, half.pending.id, self._clock.now())
            await self._enrolled(half, WEBAUTHN, origin)
        return await self._granted(half, WEBAUTHN, origin, codes)

    @asynccontextmanager
    async def _half(self, claims: PendingClaims) -> AsyncIterator[Half]:
        async with self._database.tenant(claims.tenant_id) as connection:
            found = await pending.find(connection, claims.pending_id, claims.user_id, self._clock.now())
            user = await person(connection, claims.tenant_id, claims.user_id)
            if found is None or user is None or not user.may_sign_in:
                raise refused("this login is over")
            yield Half(connection, user, found)

    async def _first(self, half: Half) -> None:
        """Only who has no factor may enrol one with a password alone."""
        if await factor_rows.of_user(half.connection, half.person.id):
            raise SivoError(
                MFA_ALREADY_ENROLLED,
                "this user has a second factor already",
                remedy="finish the login with it; further factors are added in a full session",
            )

    @asynccontextmanager
    async def _counted(self, claims: PendingClaims, origin: From) -> AsyncIterator[None]:
        user = await self._people.get(claims.tenant_id, claims.user_id)
        if user is None:
            raise refused("this login is over")
        limit = (await self._people.tenant_identity(claims.tenant_id)).login_max_attempts
        account = self._locks.account(user.email)
        try:
            attempt = await self._locks.begin(account, origin.network, limit)
        except SivoError as error:
            if error.code == LOGIN_LOCKED:
                await self._trail.refused(user, None, account, origin, "login.locked", "too many failures")
            raise
        try:
            yield
        except SivoError as error:
            if error.code != wrong().code:
                await self._locks.take_back(attempt)
            else:
                await self._trail.refused(user, None, account, origin, "login.failed", "second factor")
            raise
        await self._locks.take_back(attempt)

    async def _enrolled(self, half: Half, kind: str, origin: From) -> None:
        entry = entry_of(half.person, origin, "create", "mfa.enrolled", ("user", half.person.id), kind=kind)
        await self._trail.write(half.connection, entry)

    async def _granted(self, half: Half, kind: str, origin: From, codes: list[str]) -> Finished:
        await self._locks.succeeded(self._locks.account(half.person.email), origin.network)
        return Finished(await self._grants.open(half.person, kind, origin), tuple(codes))

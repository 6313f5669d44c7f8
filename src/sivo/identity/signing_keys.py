"""The RSA keys that sign access tokens: sealed in the vault, published as JWKS (RFC 7517), replaced every 90 days.

A key lives in three ages. *Published*: it stands in the JWKS, so that whoever caches that has it when the first token
comes. *Signing*: from ``signs_from`` until its successor does. *Verifying*: until the last token that it may have
signed has expired; the longest life that ``auth.jwt_ttl_sec`` can have counts, whatever tenants have set meanwhile.
A revoked key is gone at once, and with it every token that it signed.

Every ``api`` process holds the same keys, read from the database. A token with a ``kid`` that this process has
not seen makes it read again, at most once in :data:`RELOAD_INTERVAL_S`, so that made-up ids cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc.jwk import RSAKey

from sivo.audit.log import SYSTEM, Action, AuditEntry, record_in
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.config.types import Int
from sivo.db.scopes import Connection, Database
from sivo.vault.vault import Vault

ALGORITHM = "RS256"
KEY_BITS = 2048
RELOAD_INTERVAL_S = 5.0
PURPOSE = "token-signing-key"
#: Told to every ``api`` process when keys were made or revoked.
CHANNEL = "sivo_signing_keys"
ROTATION = timedelta(days=90)
#: From publication to the first signature: twice as long as the JWKS may be cached.
LEAD = timedelta(minutes=10)
JWKS_MAX_AGE_S = 300
#: Two processes that make keys agree through this advisory lock.
_LOCK = 7_401_550_113
_log = logs.get("identity")

#: (action, event, resource type, resource id) -> entry; ``Author.did`` is one.
Entries = Callable[[Action, str, str, str], AuditEntry]


def _by_itself(action: Action, event: str, resource_type: str, resource_id: str) -> AuditEntry:
    return AuditEntry(action, event, resource_type, resource_id, SYSTEM)


def longest_token_life() -> timedelta:
    """The longest life that any tenant can give its tokens."""
    bounds = KEYS["auth.jwt_ttl_sec"].type
    assert isinstance(bounds, Int)
    return timedelta(seconds=bounds.maximum)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair. ``verifies_until`` is None while no successor is known."""

    kid: str
    key: RSAKey
    signs_from: datetime
    verifies_until: datetime | None = None

    def verifies_at(self, now: datetime) -> bool:
        """Whether tokens of this key are still taken."""
        return self.verifies_until is None or now < self.verifies_until


class SigningKeys:
    """The keys in force, by ``kid``; call :meth:`load` before anything else."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Read every key; make one when none can sign."""
        async with self._loading:
            async with self._database.platform("identity: load token signing keys") as connection:
                rows = await _rows(connection)
                if not any(row["signs_from"] <= self._clock.now() for row in rows):
                    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
                    if not any(row["signs_from"] <= self._clock.now() for row in await _rows(connection)):
                        await self._create(connection, self._clock.now())
                    rows = await _rows(connection)
            opened = [await self._open(row) for row in rows]
            self._keys = {key.kid: key for key in _with_ends(opened)}
            self._loaded_at = self._clock.monotonic()

    def current(self) -> SigningKey:
        """The key that signs new tokens: the youngest whose time has come."""
        now = self._clock.now()
        return [key for key in self._keys.values() if key.signs_from <= now][-1]

    async def find(self, kid: str) -> SigningKey | None:
        """The key called ``kid``, or None when no process of the platform has it (any more)."""
        if kid not in self._keys and self._clock.monotonic() - self._loaded_at >= RELOAD_INTERVAL_S:
            await self.load()
        key = self._keys.get(kid)
        return key if key is not None and key.verifies_at(self._clock.now()) else None

    def jwks(self) -> dict[str, Any]:
        """Public halves of all keys in force (RFC 7517 §5), those that do not sign yet included."""
        now = self._clock.now()
        return {"keys": [_public(key.key, key.kid) for key in self._keys.values() if key.verifies_at(now)]}

    def kids(self) -> list[str]:
        """Ids of the keys that :meth:`jwks` publishes."""
        now = self._clock.now()
        return [key.kid for key in self._keys.values() if key.verifies_at(now)]

    def listing(self) -> list[dict[str, Any]]:
        """Ages of the keys, for operators."""
        now, current = self._clock.now(), self.current().kid
        return [
            {
                "kid": key.kid,
                "state": "signing" if key.kid == current else "published" if key.signs_from > now else "verifying",
                "signs_from": key.signs_from.isoformat(),
                "verifies_until": key.verifies_until.isoformat() if key.verifies_until else None,
            }
            for key in self._keys.values()
            if key.verifies_at(now)
        ]

    async def rotate(self, entry: Entries = _by_itself) -> str:
        """Publish a successor that signs after :data:`LEAD`; its ``kid``. One that is waiting already is kept.

        ``entry`` makes what stands in the platform's audit log about it.
        """
        async with self._database.platform("identity: rotate signing key") as connection:
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            now = self._clock.now()
            waiting = [row["kid"] for row in await _rows(connection) if row["signs_from"] > now]
            kid: str = waiting[-1] if waiting else await self._create(connection, now + LEAD)
            await record_in(connection, [PLATFORM_ID], entry("create", "signing_key.rotated", "signing_key", kid), now)
            await connection.execute("select pg_notify($1, $2)", CHANNEL, kid)
        _log.info("signing key published", kid=kid)
        await self.load()
        return kid

    async def rotate_if_due(self) -> bool:
        """Rotate when the youngest key has signed for :data:`ROTATION`; forget keys whose last token has expired."""
        async with self._database.platform("identity: is a new signing key due") as connection:
            youngest = await connection.fetchval("select max(signs_from) from signing_key where revoked_at is null")
            await self._forget(connection)
        if youngest is None or youngest + ROTATION - LEAD > self._clock.now():
            return False
        await self.rotate()
        return True

    async def revoke(self, kid: str, why: str, entry: Entries = _by_itself) -> None:
        """Take a key away at once, with every token that it signed. Raises NOT_FOUND.

        When it was the one that signs, a new one signs from now on.
        """
        async with self._database.platform("identity: revoke signing key") as connection:
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            now = self._clock.now()
            gone = await connection.fetchval(
                "update signing_key set revoked_at = $2, revoked_why = $3 where kid = $1 and revoked_at is null"
                " returning kid",
                kid,
                now,
                why,
            )
            if gone is None:
                raise SivoError("NOT_FOUND", f"there is no signing key {kid}", where="kid")
            newest = max((row["signs_from"] for row in await _rows(connection)), default=None)
            if newest is None or newest > now:
                await connection.execute("update signing_key set signs_from = $1 where signs_from > $1", now)
            if newest is None:
                await self._create(connection, now)
            await record_in(connection, [PLATFORM_ID], entry("delete", "signing_key.revoked", "signing_key", kid), now)
            await connection.execute("select pg_notify($1, $2)", CHANNEL, kid)
        _log.warning("signing key revoked", kid=kid)
        await self.load()

    async def _forget(self, connection: Connection) -> None:
        """Private halves that nothing needs any more are destroyed."""
        ends = await connection.fetch(
            "select kid, lead(signs_from) over (order by signs_from, created_at) as successor from signing_key"
            " where revoked_at is null"
        )
        horizon = self._clock.now() - longest_token_life()
        dead = [row["kid"] for row in ends if row["successor"] is not None and row["successor"] <= horizon]
        await connection.execute("delete from signing_key where kid = any($1) or revoked_at < $2", dead, horizon)

    async def _create(self, connection: Connection, signs_from: datetime) -> str:
        key = await asyncio.to_thread(RSAKey.generate_key, KEY_BITS, None, True)
        kid = key.thumbprint()
        sealed = await self._vault.seal_platform(PURPOSE, key.as_pem(private=True))
        await connection.execute(
            "insert into signing_key (kid, public_jwk, private_sealed, created_at, signs_from)"
            " values ($1, $2, $3, $4, $5)",
            kid,
            _public(key, kid),
            sealed,
            self._clock.now(),
            signs_from,
        )
        return kid

    async def _open(self, row: Any) -> SigningKey:
        known = self._keys.get(row["kid"])
        if known is not None:
            return SigningKey(known.kid, known.key, row["signs_from"])
        pem = await self._vault.open_platform(PURPOSE, row["private_sealed"])
        return SigningKey(row["kid"], RSAKey.import_key(pem), row["signs_from"])


async def _rows(connection: Connection) -> list[Any]:
    return await connection.fetch("select * from signing_key where revoked_at is null order by signs_from, created_at")


def _with_ends(keys: list[SigningKey]) -> list[SigningKey]:
    """Each key verifies for the longest life of a token after its successor began to sign."""
    successors = [*(key.signs_from for key in keys[1:]), None]
    life = longest_token_life()
    return [
        SigningKey(key.kid, key.key, key.signs_from, after + life if after else None)
        for key, after in zip(keys, successors, strict=True)
    ]


def _public(key: RSAKey, kid: str) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}

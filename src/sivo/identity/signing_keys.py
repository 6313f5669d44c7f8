"""The RSA keys that sign access tokens: made once, sealed in the vault, published as JWKS (RFC 7517).

Every ``api`` process holds the same keys, read from the database. A token with a ``kid`` that this process has
not seen makes it read again, at most once in :data:`RELOAD_INTERVAL_S`, so that made-up ids cost nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import RSAKey

from sivo.base.clock import Clock
from sivo.db.scopes import Connection, Database
from sivo.vault.vault import Vault

ALGORITHM = "RS256"
KEY_BITS = 2048
RELOAD_INTERVAL_S = 5.0
PURPOSE = "token-signing-key"
#: Two processes that start on an empty database agree on one key through this advisory lock.
_LOCK = 7_401_550_113


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair; ``signs`` is False for a key that only verifies tokens still in use."""

    kid: str
    key: RSAKey
    signs: bool


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
        """Read every key; make the first one when there is none."""
        async with self._loading:
            async with self._database.platform("identity: load token signing keys") as connection:
                await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
                rows = await connection.fetch("select * from signing_key order by created_at")
                if not rows:
                    await self._create(connection)
                    rows = await connection.fetch("select * from signing_key order by created_at")
            self._keys = {row["kid"]: await self._open(row) for row in rows}
            self._loaded_at = self._clock.monotonic()

    def current(self) -> SigningKey:
        """The key that signs new tokens: the youngest that is not retired."""
        return [key for key in self._keys.values() if key.signs][-1]

    async def find(self, kid: str) -> SigningKey | None:
        """The key called ``kid``, or None when no process of the platform has it."""
        if kid not in self._keys and self._clock.monotonic() - self._loaded_at >= RELOAD_INTERVAL_S:
            await self.load()
        return self._keys.get(kid)

    def jwks(self) -> dict[str, Any]:
        """Public halves of all keys in force (RFC 7517 §5)."""
        return {"keys": [_public(key.key, key.kid) for key in self._keys.values()]}

    async def _create(self, connection: Connection) -> None:
        key = await asyncio.to_thread(RSAKey.generate_key, KEY_BITS, None, True)
        kid = key.thumbprint()
        sealed = await self._vault.seal_platform(PURPOSE, key.as_pem(private=True))
        await connection.execute(
            "insert into signing_key (kid, public_jwk, private_sealed, created_at) values ($1, $2, $3, $4)",
            kid,
            _public(key, kid),
            sealed,
            self._clock.now(),
        )

    async def _open(self, row: Any) -> SigningKey:
        pem = await self._vault.open_platform(PURPOSE, row["private_sealed"])
        return SigningKey(row["kid"], RSAKey.import_key(pem), row["retired_at"] is None)


def _public(key: RSAKey, kid: str) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}

"""The counters of :mod:`sivo.identity.lockout` as rows that every ``api`` process shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.db.scopes import Connection, Database
from sivo.identity import lockout
from sivo.identity.lockout import ACCOUNT_FACTOR, Counter
from sivo.vault.vault import Vault

#: Apart from RATE_LIMITED, which counts requests of an address whoever they are for.
LOGIN_LOCKED = register("LOGIN_LOCKED", 429)
EVERYWHERE = ""
_KEEP = timedelta(hours=48)
_log = logs.get("identity")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login that is being judged: counted as failed until :meth:`Locks.succeeded`."""

    account: str
    network: str
    at: datetime
    before: dict[str, Counter]


class Locks:
    """Counts failures; the address of an account is kept only as a keyed fingerprint."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def account(self, email: str) -> str:
        """What an account is counted under, whether it exists or not."""
        return self._vault.fingerprint(f"login:{email.strip().lower()}")

    async def begin(self, account: str, network: str, limit: int) -> Attempt:
        """Count an attempt. Raises LOGIN_LOCKED with ``details.retry_after`` while account or network is locked."""
        now = self._clock.now()
        async with self._database.platform("identity: login attempt") as connection:
            before = await self._read(connection, account, network)
            waits = [wait for counter in before.values() if (wait := counter.wait(now))]
            if not waits:
                for place, counter in before.items():
                    bound = limit * ACCOUNT_FACTOR if place == EVERYWHERE else limit
                    await self._write(connection, account, place, lockout.begin(counter, bound, now), now)
        if waits:
            _log.warning("login locked", account=account, network=network)
            raise _locked(max(waits))
        return Attempt(account, network, now, before)

    async def take_back(self, attempt: Attempt) -> None:
        """The password was right: the attempt is no failure. Earlier failures stand until the login is finished."""
        async with self._database.platform("identity: right password") as connection:
            current = await self._read(connection, attempt.account, attempt.network)
            for place, counter in current.items():
                after = lockout.take_back(attempt.before[place], counter, attempt.at)
                await self._write(connection, attempt.account, place, after, self._clock.now())

    async def succeeded(self, account: str, network: str) -> None:
        """A login was finished: this network starts anew. What came from elsewhere still counts."""
        async with self._database.platform("identity: finished login") as connection:
            await connection.execute("delete from login_lock where account = $1 and network = $2", account, network)
            await connection.execute("delete from login_lock where updated_at < $1", self._clock.now() - _KEEP)

    async def unlock(self, email: str) -> bool:
        """Forget every failure of an account; whether it was locked anywhere."""
        async with self._database.platform("identity: unlock account") as connection:
            rows = await connection.fetch(
                "delete from login_lock where account = $1 returning locked_until", self.account(email)
            )
        return any(row["locked_until"] and row["locked_until"] > self._clock.now() for row in rows)

    async def _read(self, connection: Connection, account: str, network: str) -> dict[str, Counter]:
        """Both counters, locked in one order in every process (the account's own row comes first)."""
        found = {}
        for place in (EVERYWHERE, network):
            await connection.execute(
                "insert into login_lock (account, network, updated_at) values ($1, $2, $3) on conflict do nothing",
                account,
                place,
                self._clock.now(),
            )
            row = await connection.fetchrow(
                "select failures, level, locked_until, updated_at from login_lock"
                " where account = $1 and network = $2 for update",
                account,
                place,
            )
            assert row is not None
            found[place] = Counter(tuple(row["failures"]), row["level"], row["locked_until"], row["updated_at"])
        return found

    async def _write(self, connection: Connection, account: str, place: str, counter: Counter, now: datetime) -> None:
        await connection.execute(
            "update login_lock set failures = $3, level = $4, locked_until = $5, updated_at = $6"
            " where account = $1 and network = $2",
            account,
            place,
            list(counter.failures),
            counter.level,
            counter.locked_until,
            counter.updated_at or now,
        )


def _locked(wait: timedelta) -> SivoError:
    seconds = max(1, math.ceil(wait.total_seconds()))
    return SivoError(
        LOGIN_LOCKED,
        "too many failed logins; this login is locked for a while, right password or not",
        where="login",
        remedy=f"wait {seconds} s, or ask an administrator to unlock it",
        details={"retry_after": seconds},
    )

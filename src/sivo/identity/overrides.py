"""Limits that the operator set apart from the published ones: for the platform, a tenant or a network.

The most specific wins: network, then tenant, then platform, then what is published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from sivo.audit.log import record_in
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.config.change import Author
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Database
from sivo.identity.client_address import Address, Network
from sivo.identity.rates import PUBLISHED, Limit

#: Told to every ``api`` process when an override changed.
CHANNEL = "sivo_limits"
PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Override:
    """One row; ``subject`` is ``platform``, ``tenant:<uuid>`` or ``network:<cidr>``."""

    limit_name: str
    subject: str
    amount: int
    author: str
    reason: str
    at: datetime


def check_subject(limit_name: str, subject: str) -> str:
    """The subject in normal form. Raises VALIDATION_FAILED: logins and leads know no tenant yet, only networks."""
    kind, _, value = subject.partition(":")
    by_address = limit_name in ("login", "leads")
    try:
        if subject == PLATFORM:
            return subject
        if kind == "tenant" and not by_address:
            return f"tenant:{UUID(value)}"
        if kind == "network" and by_address:
            return f"network:{ip_network(value)}"
    except ValueError:
        pass
    raise SivoError(
        "VALIDATION_FAILED",
        f"the limit {limit_name} cannot be set for {subject!r}",
        where="subject",
        remedy="platform; network:<cidr> for login and leads; tenant:<uuid> for the others",
    )


class Overrides:
    """All overrides in memory, read again when one changed."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._amounts: dict[tuple[str, str], int] = {}
        self._networks: list[tuple[str, Network, int]] = []

    async def load(self) -> None:
        """Read them."""
        rows = await self.all()
        self._amounts = {(row.limit_name, row.subject): row.amount for row in rows}
        found = [
            (row.limit_name, ip_network(row.subject.removeprefix("network:")), row.amount)
            for row in rows
            if row.subject.startswith("network:")
        ]
        self._networks = sorted(found, key=lambda one: one[1].prefixlen, reverse=True)

    def limit(self, limit: Limit, tenant_id: UUID | None = None, address: Address | None = None) -> Limit:
        """The limit in force."""
        if not self._amounts:
            return limit
        for name, network, amount in self._networks if address is not None else ():
            if name == limit.name and address in network:
                return replace(limit, amount=amount)
        for subject in (f"tenant:{tenant_id}", PLATFORM):
            amount_set = self._amounts.get((limit.name, subject))
            if amount_set is not None:
                return replace(limit, amount=amount_set)
        return limit

    async def all(self) -> list[Override]:
        """Every override."""
        async with self._database.platform("identity: rate limit overrides") as connection:
            rows = await connection.fetch("select * from rate_override order by limit_name, subject")
        return [Override(**row) for row in rows]

    async def put(self, name: str, subject: str, amount: int | None, author: Author, reason: str) -> None:
        """Set an amount, or go back to what is published (None). Raises NOT_FOUND for an unknown limit."""
        if name not in PUBLISHED:
            raise SivoError("NOT_FOUND", f"there is no limit {name}", where="limit", details={"limits": [*PUBLISHED]})
        subject = check_subject(name, subject)
        async with self._database.platform("identity: set rate limit override") as connection:
            before = await connection.fetchval(
                "delete from rate_override where limit_name = $1 and subject = $2 returning amount", name, subject
            )
            if amount is not None:
                await connection.execute(
                    "insert into rate_override (limit_name, subject, amount, author, reason, at)"
                    " values ($1, $2, $3, $4, $5, $6)",
                    name,
                    subject,
                    amount,
                    author.name,
                    reason,
                    self._clock.now(),
                )
            entry = author.did("update", "limit.changed", "limit", f"{name}/{subject}", {"amount": (before, amount)})
            await record_in(connection, [PLATFORM_ID], entry, self._clock.now())
            await connection.execute("select pg_notify($1, $2)", CHANNEL, name)
        await self.load()


def shown(row: Override) -> dict[str, Any]:
    """An override on the wire."""
    return {
        "limit": row.limit_name,
        "subject": row.subject,
        "amount": row.amount,
        "author": row.author,
        "reason": row.reason,
        "at": row.at.isoformat(),
    }

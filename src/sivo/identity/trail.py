"""What signing in leaves in the audit log. Whether an account exists or not, the same is written in as many steps."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sivo.audit.log import Action, Actor, AuditEntry, record
from sivo.base.clock import Clock
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Connection, Database
from sivo.identity.grants import From
from sivo.identity.people import Person


def entry_of(
    person: Person, origin: From, action: Action, event: str, resource: tuple[str, object], **diff: Any
) -> AuditEntry:
    """Something that ``person`` did before there is a session that would say who it is."""
    actor = Actor(str(person.id), person.email, person.role.value, origin.address, origin.client)
    changed = {name: (None, value) for name, value in diff.items()}
    return AuditEntry(action, event, resource[0], str(resource[1]), actor, changed)


class Trail:
    """Records refused logins, in a transaction of their own: what was refused has none."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def refused(
        self, person: Person | None, named: UUID | None, account: str, origin: From, event: str, why: str
    ) -> None:
        """A failed or locked login stands in the log of the account's tenant.

        For an account that there is not: in that of the tenant which was named, else in the platform's, under the keyed
        fingerprint of what was typed, because people type passwords into the wrong field.
        """
        if person is not None:
            entry = entry_of(person, origin, "access", event, ("user", person.id), reason=why)
        else:
            actor = Actor("unknown", ip=origin.address, user_agent=origin.client)
            entry = AuditEntry("access", event, "account", account, actor, {"reason": (None, why)})
        tenant_id = person.tenant_id if person is not None else named or PLATFORM_ID
        async with self._database.tenant(tenant_id) as connection:
            await self.write(connection, entry)

    async def write(self, connection: Connection, entry: AuditEntry) -> None:
        """Record at the time of our clock."""
        await record(connection, entry, self._clock.now())

"""Writing to the audit log: one row in the transaction of what it tells about, chained later by the sealer.

Nobody waits for anybody here: the row goes to ``audit_inbox`` and no head of a chain is locked. The document is made
now, so that the sealer has nothing to interpret; it only adds number, predecessor and signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from sivo.audit.canonical import canonical
from sivo.base.ids import uuid7
from sivo.db.scopes import Connection

Action = Literal["create", "update", "delete", "access"]
#: Longest text of one field of an entry; what clients send of themselves (User-Agent) has no bound of its own.
MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, as far as it is known. ``id``: a user's UUID, ``local:<uid>``, ``key:<prefix>`` or ``system``."""

    id: str
    email: str = ""
    role: str = ""
    ip: str = ""
    user_agent: str = ""


#: What the platform does by itself.
SYSTEM = Actor("system", role="system")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody did, read or tried. ``event`` is dotted lower case, the noun first (``login.failed``).

    ``diff`` maps fields to (from, to) and never holds a secret. A change of configuration names its ledger entry in
    ``ledger`` instead, where before and after stand. ``cross_tenant``: the actor is none of the tenant's own people.
    """

    action: Action
    event: str
    resource_type: str
    resource_id: str
    actor: Actor
    diff: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    cross_tenant: bool = False
    ledger: int | None = None

    def document(self) -> dict[str, Any]:
        """As JSON, without what the sealer adds."""
        return {
            "action": self.action,
            "event": self.event,
            "resource": {"type": self.resource_type, "id": _clean(self.resource_id)},
            "actor": {
                "id": _clean(self.actor.id),
                "email": _clean(self.actor.email),
                "role": self.actor.role,
                "ip": _clean(self.actor.ip),
                "user_agent": _clean(self.actor.user_agent),
            },
            "diff": {name: {"from": old, "to": new} for name, (old, new) in self.diff.items()},
            "cross_tenant": self.cross_tenant,
            "ledger": self.ledger,
        }


async def record(connection: Connection, entry: AuditEntry, at: datetime | None = None) -> None:
    """Write ``entry`` in the caller's transaction, in the scope ``tenant(id)`` of the tenant whose log it belongs to.

    ``at`` defaults to now. The entry is there exactly if the transaction commits.
    """
    await record_all(connection, [entry], at)


async def record_in(
    connection: Connection, tenants: Sequence[UUID], entry: AuditEntry, at: datetime | None = None
) -> None:
    """As :func:`record`, into the logs of several tenants (or of the platform), in the scope ``platform(reason)``."""
    moment = at or datetime.now(UTC)
    await connection.execute(
        "insert into audit_inbox (id, tenant_id, at, canonical)"
        " select made.id, made.tenant_id, $3, $4 from unnest($1::uuid[], $2::uuid[]) as made (id, tenant_id)",
        [uuid7(int(moment.timestamp() * 1000)) for _ in tenants],
        list(tenants),
        moment,
        canonical(entry.document()).decode(),
    )


async def record_all(connection: Connection, entries: Sequence[AuditEntry], at: datetime | None = None) -> None:
    """As :func:`record`, for many entries in one statement."""
    moment = at or datetime.now(UTC)
    ids = [uuid7(int(moment.timestamp() * 1000)) for _ in entries]
    await connection.execute(
        "insert into audit_inbox (id, tenant_id, at, canonical)"
        " select made.id, current_setting('app.tenant_id')::uuid, $2, made.canonical"
        " from unnest($1::uuid[], $3::text[]) as made (id, canonical)",
        ids,
        moment,
        [canonical(one.document()).decode() for one in entries],
    )


def _clean(text: str) -> str:
    """Text that a database can hold, of bounded length: an odd header must not keep the entry from being written."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:MAX_TEXT]

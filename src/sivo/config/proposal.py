"""The rows of ``proposal``: change-sets that wait for a time, for somebody's approval, or for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sivo.audit.chain import ChangeRecord
from sivo.base.errors import SivoError
from sivo.config.change import Author
from sivo.config.compare import shown
from sivo.db.scopes import Connection

PENDING, SCHEDULED, HELD = "pending", "scheduled", "held"
APPLIED, REJECTED, CANCELLED = "applied", "rejected", "cancelled"
STATES = (PENDING, SCHEDULED, HELD, APPLIED, REJECTED, CANCELLED)
#: Still to be decided or done.
OPEN = (PENDING, SCHEDULED, HELD)
#: A worker's claim on a due one. It only spares two workers the same work: that a change is made once follows from
#: the lock on its row and on the chain.
LEASE = timedelta(seconds=5)

_COLUMNS = (
    "id, tenant_id, state, author, role, person, reason, created_at, apply_at, break_glass, planned, digest, held,"
    " decided_by, decided_at, decision, approved, version, finished_at, changes"
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One of them. ``changes`` is sealed, and gone once it is decided; ``planned`` names secrets by fingerprint."""

    id: UUID
    tenant_id: UUID
    state: str
    author: str
    role: str
    person: str
    reason: str
    created_at: datetime
    apply_at: datetime | None
    break_glass: bool
    planned: Sequence[Mapping[str, Any]]
    digest: str
    held: Mapping[str, Any] | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision: str = ""
    approved: bool = False
    version: int | None = None
    finished_at: datetime | None = None
    changes: bytes | None = field(default=None, repr=False)

    @property
    def by(self) -> Author:
        """Its author as they were when it was made."""
        return Author(self.author, self.role, person=self.person)

    @property
    def records(self) -> list[ChangeRecord]:
        """What it would change, as planned last."""
        return [ChangeRecord(one["target"], one["before"], one["after"]) for one in self.planned]

    def body(self, role: str) -> dict[str, Any]:
        """As JSON, for ``role``."""
        return {
            "id": str(self.id),
            "state": self.state,
            "author": self.author,
            "reason": self.reason,
            "created_at": self.created_at.isoformat(),
            "apply_at": _time(self.apply_at),
            "break_glass": self.break_glass,
            "digest": self.digest,
            "changes": shown(self.records, role),
            "held": dict(self.held) if self.held else None,
            "approved": self.approved,
            "decided_by": self.decided_by,
            "decided_at": _time(self.decided_at),
            "decision": self.decision,
            "version": self.version,
            "finished_at": _time(self.finished_at),
        }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def plain(records: Sequence[ChangeRecord]) -> list[dict[str, Any]]:
    """Records as the column ``planned`` holds them."""
    return [{"target": one.target, "before": one.before, "after": one.after} for one in records]


async def insert(connection: Connection, one: Proposal) -> None:
    """Write a new one down."""
    names = [name.strip() for name in _COLUMNS.split(",")]
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    values = [list(one.planned) if name == "planned" else getattr(one, name) for name in names]
    await connection.execute(f"insert into proposal ({_COLUMNS}) values ({places})", *values)  # noqa: S608 - constants


async def get(connection: Connection, proposal_id: UUID, *, lock: bool = False) -> Proposal:
    """One of the scope's tenant; NOT_FOUND otherwise. ``lock``: nobody else decides until the transaction ends."""
    query = f"select {_COLUMNS} from proposal where id = $1{' for update' if lock else ''}"  # noqa: S608 - constants
    row = await connection.fetchrow(query, proposal_id)
    if row is None:
        raise SivoError("NOT_FOUND", f"there is no change {proposal_id}", where="change")
    return Proposal(**dict(row))


async def listing(
    connection: Connection, tenant_id: UUID, states: Sequence[str], before: UUID | None, limit: int
) -> list[Proposal]:
    """Newest first, those in ``states``."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from proposal where tenant_id = $1 and state = any($2)"  # noqa: S608 - constants
        " and ($3::uuid is null or id < $3) order by id desc limit $4",
        tenant_id,
        list(states),
        before,
        limit,
    )
    return [Proposal(**dict(row)) for row in rows]


async def of_entries(connection: Connection, tenant_id: UUID, versions: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Which entries of the ledger waited before they were made, and who let them through: version -> what."""
    rows = await connection.fetch(
        "select version, id, apply_at, break_glass, approved, decided_by from proposal"
        " where tenant_id = $1 and version = any($2)",
        tenant_id,
        list(versions),
    )
    return {
        row["version"]: {
            "id": str(row["id"]),
            "apply_at": _time(row["apply_at"]),
            "approved_by": row["decided_by"] if row["approved"] else None,
            "break_glass": row["break_glass"],
        }
        for row in rows
    }


async def claim(connection: Connection, now: datetime) -> Proposal | None:
    """The scheduled one that is due longest, for :data:`LEASE` (scope ``platform``); None when nothing is due."""
    row = await connection.fetchrow(
        "update proposal set claimed_until = $2 where id = (select id from proposal where state = 'scheduled'"  # noqa: S608 - constants
        " and apply_at <= $1 and (claimed_until is null or claimed_until <= $1)"
        f" order by apply_at, id limit 1 for update skip locked) returning {_COLUMNS}",
        now,
        now + LEASE,
    )
    return Proposal(**dict(row)) if row else None


async def applied(connection: Connection, proposal_id: UUID, version: int, now: datetime) -> None:
    """It is entry ``version`` of the ledger now; its changes are not kept twice."""
    await connection.execute(
        "update proposal set state = 'applied', version = $2, finished_at = $3, changes = null, held = null,"
        " claimed_until = null where id = $1",
        proposal_id,
        version,
        now,
    )


async def decided(
    connection: Connection, proposal_id: UUID, state: str, who: Author, reason: str, now: datetime
) -> None:
    """Somebody has approved it (``scheduled``), rejected or cancelled it."""
    over = state in (REJECTED, CANCELLED)
    await connection.execute(
        "update proposal set state = $2, decided_by = $3, decision = $4, decided_at = $5, approved = $6,"
        " finished_at = case when $6 then null else $5::timestamptz end,"
        " changes = case when $6 then changes end, held = case when $6 then null else held end where id = $1",
        proposal_id,
        state,
        who.name,
        reason,
        now,
        not over,
    )


async def hold(
    connection: Connection, proposal_id: UUID, held: Mapping[str, Any], planned: Sequence[Any] | None, digest: str
) -> None:
    """What it was planned on has moved; ``planned`` (None: as it was) and ``digest`` are those of the new plan."""
    await connection.execute(
        "update proposal set state = 'held', held = $2, planned = coalesce($3, planned), digest = $4,"
        " approved = false, claimed_until = null where id = $1",
        proposal_id,
        dict(held),
        list(planned) if planned is not None else None,
        digest,
    )


async def back_to_pending(connection: Connection, proposal_id: UUID) -> None:
    """The tenant began to ask for approval while it waited for its time."""
    await connection.execute(
        "update proposal set state = 'pending', claimed_until = null where id = $1 and state = 'scheduled'",
        proposal_id,
    )

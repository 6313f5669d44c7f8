"""Whether a ledger is what it was: chain, signatures, checkpoint, and the state that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sivo.audit.chain import Fault, Verifier, replay
from sivo.audit.checkpoints import Checkpoints
from sivo.audit.heads import head_faults
from sivo.audit.ledger import links
from sivo.audit.walk import Report, Walk
from sivo.db.scopes import Connection

__all__ = ["Report", "verify"]


async def verify(
    connection: Connection, chain: UUID, verifier: Verifier, checkpoints: Checkpoints, current: Mapping[str, Any]
) -> Report:
    """Check one chain. ``current`` is what the tables hold now: target -> value, as the ledger writes it."""
    state: dict[str, Any] = {}
    walk = Walk(chain, verifier, checkpoints, lambda one: replay(state, one))
    async for one in links(connection, chain):
        walk.take(one)
    faults = await head_faults(connection, "ledger_head", chain, chain, walk.end)
    faults += await _unfolded_faults(connection, chain)
    faults += walk.checkpoint_faults()
    faults += _state_faults(chain, walk.end.seq, state, current)
    return walk.report(faults)


async def _unfolded_faults(connection: Connection, chain: UUID) -> list[Fault]:
    rows = await connection.fetch(
        "select e.seq from ledger_entry e where e.tenant_id = $1 and (select coalesce(jsonb_agg("
        "jsonb_build_object('target', c.target, 'before', c.before, 'after', c.after) order by c.n), '[]'::jsonb)"
        " from ledger_change c where c.tenant_id = e.tenant_id and c.seq = e.seq)"
        " is distinct from (e.canonical::jsonb) -> 'changes' order by e.seq",
        chain,
    )
    return [Fault(chain, row["seq"], "its list of changes says otherwise than its content") for row in rows]


def _state_faults(chain: UUID, seq: int, expected: Mapping[str, Any], current: Mapping[str, Any]) -> list[Fault]:
    wrong = sorted(target for target in expected.keys() | current.keys() if expected.get(target) != current.get(target))
    return [Fault(chain, seq, f"{target} is not what the ledger says it should be") for target in wrong]

"""Whether a ledger is what it was: chain, signatures, checkpoint, and the state that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.audit.chain import GENESIS, Fault, Link, Verifier, check_link, replay, signed_bytes
from sivo.audit.checkpoints import Checkpoints, DamagedCheckpointError
from sivo.audit.ledger import links
from sivo.db.scopes import Connection


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one chain; ``head`` is the hash of its last entry in hex."""

    chain: UUID
    entries: int
    head: str
    checkpoint: int | None
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.faults

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "chain": str(self.chain),
            "ok": self.ok,
            "entries": self.entries,
            "head": self.head,
            "checkpoint": self.checkpoint,
            "faults": [{"entry": fault.seq, "what": fault.what} for fault in self.faults],
        }


class _Walk:
    """Goes through a chain once, keeping what later checks need."""

    def __init__(self, chain: UUID, verifier: Verifier, checkpoint_seq: int | None) -> None:
        self.chain = chain
        self.verifier = verifier
        self.checkpoint_seq = checkpoint_seq
        self.faults: list[Fault] = []
        self.state: dict[str, Any] = {}
        self.count = 0
        self.last: Link | None = None
        self.at_checkpoint: Link | None = None

    def take(self, one: Link) -> None:
        """The next entry in the order of the database."""
        prev = self.last.hash if self.last else GENESIS
        expected = (self.last.seq if self.last else 0) + 1
        self.count += 1
        found = check_link(one, prev, expected, self.verifier)
        self.faults += found
        try:
            self.faults += [Fault(self.chain, one.seq, what) for what in replay(self.state, one)]
        except (ValueError, KeyError, TypeError):
            self.faults.append(Fault(self.chain, one.seq, "its content is not an entry"))
        if one.seq == self.checkpoint_seq:
            self.at_checkpoint = one
        self.last = one


async def verify(
    connection: Connection, chain: UUID, verifier: Verifier, checkpoints: Checkpoints, current: Mapping[str, Any]
) -> Report:
    """Check one chain. ``current`` is what the tables hold now: target -> value, as the ledger writes it."""
    damage: list[Fault] = []
    checkpoint = None
    try:
        checkpoint = checkpoints.read(chain)
    except DamagedCheckpointError as error:
        damage.append(Fault(chain, 0, str(error)))
    walk = _Walk(chain, verifier, checkpoint.seq if checkpoint else None)
    async for one in links(connection, chain):
        walk.take(one)
    faults = [*walk.faults, *damage]
    head_hash = walk.last.hash if walk.last else GENESIS
    head_seq = walk.last.seq if walk.last else 0
    faults += await _head_faults(connection, chain, head_seq, head_hash)
    faults += await _unfolded_faults(connection, chain)
    if checkpoint is not None:
        genuine = verifier.verify(
            checkpoint.key_id, signed_bytes(bytes.fromhex(checkpoint.hash)), bytes.fromhex(checkpoint.signature)
        )
        faults += _checkpoint_faults(walk, checkpoint.seq, checkpoint.hash, genuine)
    elif walk.count and not damage:
        faults.append(Fault(chain, head_seq, "there is no checkpoint of this chain outside the database"))
    faults += _state_faults(chain, head_seq, walk.state, current)
    return Report(chain, walk.count, head_hash.hex(), checkpoint.seq if checkpoint else None, tuple(faults))


async def _head_faults(connection: Connection, chain: UUID, seq: int, hash_: bytes) -> list[Fault]:
    row = await connection.fetchrow("select seq, hash from ledger_head where tenant_id = $1", chain)
    if row is None:
        return [Fault(chain, seq, "the head of the chain is missing")] if seq else []
    if (row["seq"], row["hash"]) == (seq, hash_):
        return []
    return [Fault(chain, row["seq"], f"the head says that the chain ends at {row['seq']}, it ends at {seq}")]


async def _unfolded_faults(connection: Connection, chain: UUID) -> list[Fault]:
    rows = await connection.fetch(
        "select e.seq from ledger_entry e where e.tenant_id = $1 and (select coalesce(jsonb_agg("
        "jsonb_build_object('target', c.target, 'before', c.before, 'after', c.after) order by c.n), '[]'::jsonb)"
        " from ledger_change c where c.tenant_id = e.tenant_id and c.seq = e.seq)"
        " is distinct from (e.canonical::jsonb) -> 'changes' order by e.seq",
        chain,
    )
    return [Fault(chain, row["seq"], "its list of changes says otherwise than its content") for row in rows]


def _checkpoint_faults(walk: _Walk, seq: int, hash_: str, genuine: bool) -> list[Fault]:
    if not genuine:
        return [Fault(walk.chain, seq, "the checkpoint was not signed by the platform's key")]
    if walk.at_checkpoint is None:
        return [Fault(walk.chain, seq, f"the checkpoint outside the database knows entry {seq}, the ledger does not")]
    if walk.at_checkpoint.hash.hex() != hash_:
        return [Fault(walk.chain, seq, "the entry is not the one that the checkpoint outside the database knows")]
    return []


def _state_faults(chain: UUID, seq: int, expected: Mapping[str, Any], current: Mapping[str, Any]) -> list[Fault]:
    wrong = sorted(target for target in expected.keys() | current.keys() if expected.get(target) != current.get(target))
    return [Fault(chain, seq, f"{target} is not what the ledger says it should be") for target in wrong]

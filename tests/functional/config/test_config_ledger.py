"""The ledger as it lies in the database: what somebody with the data files could do to it, and that it shows."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from sivo.audit.chain import ChangeRecord, link
from sivo.audit.keys import LedgerKey
from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.config.change import Create, SetKey
from sivo.db.scopes import Database
from support.plane import Plane, behind_the_policies, open_plane

Superuser: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass
class World:
    plane: Plane
    tenant: UUID
    superuser: Superuser

    async def faults(self) -> list[str]:
        return [fault.what for fault in (await self.plane.verify(self.tenant)).faults]


@pytest.fixture
async def world(
    settings: Settings, clock: VirtualClock, database: Database, pg: Any, database_name: str
) -> AsyncIterator[World]:
    plane = await open_plane(settings, clock, database)
    tenant = await plane.tenant()
    for turns in (3, 4, 5):
        await plane.apply(tenant, SetKey("ai.max_turns", turns))
    await plane.apply(tenant, Create("extension", {"number": "1001"}), Create("extension", {"number": "1002"}))
    async with behind_the_policies(pg.superuser_dsn(database_name)) as superuser:
        yield World(plane, tenant, superuser)


async def test_an_untouched_ledger_is_in_order(world: World) -> None:
    report = await world.plane.verify(world.tenant)
    assert report.body() == {
        "chain": str(world.tenant),
        "ok": True,
        "entries": 5,
        "head": report.head,
        "checkpoint": 5,
        "faults": [],
    }


async def test_the_database_itself_refuses_content_without_its_hash(world: World) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await world.superuser.execute("update ledger_entry set canonical = replace(canonical, '4', '9') where seq = 3")


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "update ledger_entry set canonical = replace(canonical, '\"value\":4', '\"value\":9'), hash ="
            " sha256(convert_to(replace(canonical, '\"value\":4', '\"value\":9'), 'UTF8')) where seq = 3",
            "signature",
        ),
        ("update ledger_entry set at = at + interval '1 second' where seq = 3", "column at"),
        ("update ledger_entry set signature = decode(repeat('00', 64), 'hex') where seq = 3", "signature"),
        ("delete from ledger_entry where seq = 3", "missing"),
        ("update ledger_change set after = '{\"value\": 9}' where seq = 3", "list of changes"),
        ("delete from ledger_change where seq = 3", "list of changes"),
        ("update ledger_head set seq = 4", "ends at"),
        ("delete from ledger_head", "head of the chain is missing"),
        ("update config_value set value = '200'", "key/tenant//ai.max_turns is not what"),
        ("delete from config_value", "key/tenant//ai.max_turns is not what"),
        (
            "update resource set body = jsonb_set(body, '{active}', 'false') where body->>'number' = '1001'",
            "extension/",
        ),
        ("delete from resource where body->>'number' = '1002'", "extension/"),
        ("update resource set secrets = '{\"sip_password\": \"00\"}' where body->>'number' = '1001'", "extension/"),
        ("update tenant set plan = 'enterprise' where slug = 'acme'", "tenant/"),
    ],
)
async def test_every_alteration_of_a_row_is_found(world: World, statement: str, says: str) -> None:
    done = await world.superuser.execute(statement)
    assert not done.endswith(" 0"), done
    faults = await world.faults()
    assert any(says in fault for fault in faults), faults


async def _cut_off(world: World, seq: int) -> None:
    """Remove everything after entry ``seq`` as if it had never been."""
    await world.superuser.execute("delete from ledger_change where seq > $1", seq)
    await world.superuser.execute("delete from ledger_entry where seq > $1", seq)
    await world.superuser.execute(
        "update ledger_head h set seq = $1, hash = (select hash from ledger_entry e"
        " where e.tenant_id = h.tenant_id and e.seq = $1)",
        seq,
    )


async def test_a_tail_cut_off_cleanly_is_found_by_the_checkpoint(world: World) -> None:
    await _cut_off(world, 4)
    await world.superuser.execute("delete from resource")
    faults = await world.faults()
    assert faults == ["the checkpoint outside the database knows entry 5, the database does not"]


async def test_a_tail_rewritten_with_another_key_is_found(world: World) -> None:
    await _cut_off(world, 4)
    await world.superuser.execute("delete from resource")
    last = await world.superuser.fetchrow(
        "select hash, at from ledger_entry where seq = 4 and tenant_id = $1", world.tenant
    )
    assert last is not None
    change = ChangeRecord("key/tenant//ai.max_turns", {"value": 5, "locked": False}, {"value": 200, "locked": False})
    forged = link(world.tenant, 5, last["hash"], last["at"], "user:x", "admin", "", [change], LedgerKey.generate())
    await world.superuser.execute(
        "insert into ledger_entry (tenant_id, seq, at, canonical, prev, hash, signature, key_id)"
        " values ($1, 5, $2, $3, $4, $5, $6, $7)",
        world.tenant,
        forged.at,
        forged.canonical,
        forged.prev,
        forged.hash,
        forged.signature,
        forged.key_id,
    )
    await world.superuser.execute("update ledger_head set seq = 5, hash = $1", forged.hash)
    faults = await world.faults()
    assert "its signature was not made by the platform's key" in faults
    assert "the entry is not the one that the checkpoint outside the database knows" in faults


async def test_a_checkpoint_that_is_gone_or_damaged_is_told(world: World) -> None:
    path = world.plane.settings.home / "ledger" / f"{world.tenant}.json"
    kept = path.read_text()
    path.write_text("{")
    assert await world.faults() == ["the checkpoint file outside the database is damaged"]
    path.write_text(kept.replace('"seq": 5', '"seq": 4'))
    assert await world.faults()
    path.unlink()
    assert await world.faults() == ["there is no checkpoint of this chain outside the database"]
    path.write_text(kept)
    assert await world.faults() == []


async def test_a_checkpoint_behind_the_head_is_in_order(world: World) -> None:
    """As after a crash between commit and checkpoint."""
    path = world.plane.settings.home / "ledger" / f"{world.tenant}.json"
    kept = path.read_text()
    await world.plane.apply(world.tenant, SetKey("ai.max_turns", 6))
    path.write_text(kept)
    report = await world.plane.verify(world.tenant)
    assert report.ok and (report.entries, report.checkpoint) == (6, 5)


async def test_the_stored_document_hashes_to_the_stored_hash(world: World) -> None:
    rows = await world.superuser.fetch(
        "select canonical, hash, prev from ledger_entry where tenant_id = $1 order by seq", world.tenant
    )
    prev = bytes(32)
    for row in rows:
        assert hashlib.sha256(row["canonical"].encode()).digest() == row["hash"]
        assert row["prev"] == prev
        prev = row["hash"]


async def test_the_key_is_the_same_after_a_restart(world: World, clock: VirtualClock) -> None:
    again = await open_plane(world.plane.settings, clock, world.plane.database)
    assert again.resources.ledger_key.key_id == world.plane.resources.ledger_key.key_id
    assert (await again.verify(world.tenant)).ok

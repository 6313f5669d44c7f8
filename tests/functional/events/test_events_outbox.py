"""The outbox over a real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from sivo.base.ids import uuid7
from sivo.db.scopes import Database
from sivo.events import outbox
from sivo.events.catalogue import CATALOGUE

NOW = datetime(2026, 5, 1, tzinfo=UTC)


async def claim_all(database: Database) -> list[str]:
    async with database.platform("test: claim") as connection:
        events = await outbox.claim(connection)
        await outbox.handed_on(connection, events, NOW)
        return [event.id for event in events]


async def test_event_lives_and_dies_with_its_transaction(database: Database) -> None:
    tenant = uuid7()
    with pytest.raises(RuntimeError):
        async with database.tenant(tenant) as connection:
            await outbox.put(connection, tenant, "call.ended", {})
            raise RuntimeError
    assert await claim_all(database) == []
    async with database.tenant(tenant) as connection:
        id_ = await outbox.put(connection, tenant, "call.ended", {})
    assert id_.startswith("evt_") and len(id_) == 30
    assert await claim_all(database) == [id_]
    assert await claim_all(database) == []


async def test_event_that_commits_late_is_not_skipped(database: Database) -> None:
    tenant, go = uuid7(), asyncio.Event()
    ids: dict[str, str] = {}

    async def late() -> None:
        async with database.tenant(tenant) as connection:
            ids["late"] = await outbox.put(connection, tenant, "call.created", {})
            await go.wait()

    task = asyncio.create_task(late())
    while "late" not in ids:
        await asyncio.sleep(0.01)
    async with database.tenant(tenant) as connection:
        ids["early"] = await outbox.put(connection, tenant, "call.ended", {})
    assert await claim_all(database) == [ids["early"]]
    go.set()
    await task
    assert await claim_all(database) == [ids["late"]]


async def test_same_id_twice_is_one_event(database: Database) -> None:
    tenant = uuid7()
    for _ in range(2):
        async with database.tenant(tenant) as connection:
            await outbox.put(connection, tenant, "call.ended", {"n": 1}, id="evt_derived")
    assert await claim_all(database) == ["evt_derived"]


async def test_two_readers_never_claim_the_same_event(database: Database) -> None:
    tenant = uuid7()
    async with database.tenant(tenant) as connection:
        ids = [await outbox.put(connection, tenant, "call.ended", {}) for _ in range(250)]
    got = await asyncio.gather(*(claim_all(database) for _ in range(4)))
    rest = await claim_all(database)
    flat = [id_ for part in [*got, rest] for id_ in part]
    assert sorted(flat) == sorted(ids)


async def test_unknown_type_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="catalogue"):
        async with database.tenant(uuid7()) as connection:
            await outbox.put(connection, uuid7(), "call.imagined", {})


async def test_old_rows_go(database: Database) -> None:
    tenant = uuid7()
    async with database.tenant(tenant) as connection:
        await outbox.put(connection, tenant, "call.ended", {})
    await claim_all(database)
    for later, gone in ((timedelta(hours=23), 0), (timedelta(hours=25), 1)):
        async with database.platform("test: sweep") as connection:
            assert await outbox.sweep(connection, NOW + later) == gone


def test_envelope_is_the_published_one() -> None:
    tenant = uuid4()
    at = datetime(2026, 3, 4, 5, 6, 7, 89_123, tzinfo=UTC)
    document = json.loads(outbox.envelope(outbox.Event("evt_1", tenant, "call.ended", {"from": "+34"}, at)))
    assert document == {
        "id": "evt_1",
        "type": "call.ended",
        "createdAt": "2026-03-04T05:06:07.089Z",
        "tenantId": str(tenant),
        "data": {"from": "+34"},
    }


def test_catalogue_is_the_published_one() -> None:
    assert set(CATALOGUE) == {
        "call.created", "call.answered", "call.transferred", "call.ended", "call.recorded", "transcript.segment",
        "transcript.completed", "queue.entered", "queue.abandoned", "agent.status_changed", "agent.paused",
        "ivr.completed", "ai_agent.completed", "webhook.test",
        "lead.created", "webhook.disabled", "change.waiting", "change.held", "change.break_glass",
    }  # fmt: skip

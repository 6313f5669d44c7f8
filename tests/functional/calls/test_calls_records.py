"""The write-behind queue: order per call, one bad write does not hold up the rest, commits are idempotent."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from sivo.base.ids import uuid7
from sivo.calls import facts, store
from sivo.calls.facts import FactContext
from sivo.calls.records import Recorder, Write
from sivo.calls.store import CallRow
from sivo.db.scopes import Connection, Database
from sivo.media.protocol import ConversationEnded, Fact, FactBody, Segment, Turn

AT = datetime(2026, 3, 1, tzinfo=UTC)


def row(tenant: UUID) -> CallRow:
    return CallRow(uuid7(), tenant, "inbound", "+34600111222", "+34910000001", AT)


async def test_a_write_that_is_refused_is_left_out_alone(database: Database) -> None:
    tenant, calls, after = uuid7(), [], []
    recorder = Recorder(database)
    for number in range(5):
        call = row(tenant)
        calls.append(call)

        async def apply(conn: Connection, call: CallRow = call, number: int = number) -> None:
            await store.insert_call(conn, call)
            if number == 2:
                await conn.execute("insert into leg (id) values (gen_random_uuid())")

        recorder.put(Write(tenant, call.id, apply, lambda number=number: after.append(number)))  # type: ignore[misc]
    recorder.start()
    assert await recorder.drain(10)
    await recorder.stop()
    async with database.tenant(tenant) as conn:
        stored = {record["id"] for record in await conn.fetch("select id from call")}
    assert stored == {call.id for number, call in enumerate(calls) if number != 2}
    assert (recorder.failed, sorted(after)) == (1, [0, 1, 3, 4])


async def test_a_fact_that_comes_twice_counts_once(database: Database) -> None:
    call = row(uuid7())
    context = FactContext(call.tenant_id, call.id, uuid7(), True, 90)
    bodies: list[FactBody] = [
        Segment(segment="s1", speaker="caller", text="hello", start_ms=0, end_ms=500),
        Turn(turn=1, user_text="hello", user_start_ms=0, user_end_ms=500, reply_text="hi"),
        ConversationEnded(reason="agent_hangup", turns=1, at_ms=2000),
    ]
    async with database.tenant(call.tenant_id) as conn:
        await store.insert_call(conn, call)
    for _ in range(3):
        for seq, body in enumerate(bodies, 1):
            fact = Fact(session=str(call.id), seq=seq, at=1_772_323_200_000 + seq, body=body)
            async with database.tenant(call.tenant_id) as conn:
                await facts.commit(conn, context, fact)
    async with database.platform("test: look") as conn:
        assert await conn.fetchval("select count(*) from call_fact") == 3
        assert await conn.fetchval("select count(*) from turn") == 1
        assert await conn.fetchval("select count(*) from segment") == 1
        types = [record["type"] for record in await conn.fetch("select type from outbox order by type")]
        assert await conn.fetchval("select exit_reason from call") == "agent_hangup"
        expiry = await conn.fetchval("select expires_at from turn")
    assert types == ["ai_agent.completed", "transcript.segment"]
    assert (expiry - datetime.fromtimestamp(1_772_323_200, UTC)).days == 90


async def test_words_are_not_kept_without_a_policy_and_go_when_they_expire(database: Database) -> None:
    call = row(uuid7())
    async with database.tenant(call.tenant_id) as conn:
        await store.insert_call(conn, call)
        for seq, transcribe in ((1, False), (2, True)):
            context = FactContext(call.tenant_id, call.id, None, transcribe, 1)
            turn = Turn(turn=seq, user_text="secret words", user_start_ms=0, user_end_ms=1, reply_text="also words")
            await facts.commit(conn, context, Fact(session=str(call.id), seq=seq, at=1_772_323_200_000, body=turn))
            heard = Segment(segment=f"s{seq}", speaker="caller", text="secret words", start_ms=0, end_ms=1)
            await facts.commit(
                conn, context, Fact(session=str(call.id), seq=seq + 10, at=1_772_323_200_000, body=heard)
            )
        texts = [record["user_text"] for record in await conn.fetch("select user_text from turn order by turn")]
        assert texts == [None, "secret words"]
        assert await conn.fetchval("select count(*) from segment") == 1
        kept = str([record["body"] for record in await conn.fetch("select body from call_fact")])
        assert "words" not in kept
    async with database.platform("test: expire") as conn:
        assert await facts.expire_words(conn, datetime(2026, 3, 2, 0, 0, 1, tzinfo=UTC)) == 1
        assert await conn.fetchval("select count(*) from turn where user_text is not null") == 0


async def test_a_call_of_another_tenant_is_out_of_reach(database: Database) -> None:
    call = row(uuid7())
    async with database.tenant(call.tenant_id) as conn:
        await store.insert_call(conn, call)
    async with database.tenant(uuid7()) as conn:
        assert await conn.fetchval("select count(*) from call") == 0
        assert not await store.mark_answered(conn, call.id, AT)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.tenant(uuid7()) as conn:
            await store.insert_call(conn, call)

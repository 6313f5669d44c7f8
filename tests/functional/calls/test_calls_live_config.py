"""New calls and changes of the configuration: told, lost, with nobody to tell, and without a database."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from call_house import DID, House

from sivo.config.kinds import PLATFORM_ID
from support.pg_proxy import PgProxy
from support.raw_phone import Message

KEY = "ai.max_turns"
FOUND_S = 3 * 3.0


async def _call(house: House) -> Message:
    phone = await house.phone("100")
    answer = await phone.invite(DID, 4000)
    if answer.status == 200:
        await phone.bye()
    return answer


async def _pinned(house: House) -> Any:
    """The value that the newest call pinned."""
    row = await house.until(
        "select s.body from call c join config_snapshot s on s.hash = c.snapshot_hash order by c.id desc limit 1"
    )
    return row["body"]["values"][KEY]


def _known(house: House) -> Any:
    return house.node.services.directory.current.pictures[house.tenant].snapshots[None, None].read(KEY)


async def _until(house: House, value: int) -> None:
    deadline = time.monotonic() + FOUND_S
    while _known(house) != value:
        assert time.monotonic() < deadline, f"the role still knows {_known(house)}"
        await asyncio.sleep(0.02)


async def test_told_found_asked_for_and_known_for_a_minute(
    doors: tuple[House, PgProxy, PgProxy], pg: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, listening, everything = doors
    await house.set(KEY, 11)
    await _until(house, 11)

    connection = await asyncpg.connect(pg.superuser_dsn(database_name))
    try:
        await connection.execute("set session_replication_role = replica")
        for value, whose in ((12, house.tenant), (13, PLATFORM_ID)):
            await connection.execute("update config_value set value = to_jsonb($2::int) where key = $1", KEY, value)
            await connection.execute("update tenant set config_version = config_version + 1000 where id = $1", whose)
            assert _known(house) != value
            await _until(house, value)
    finally:
        await connection.close()

    monkeypatch.setattr("sivo.routing.live.POLL_SECONDS", 3600)
    await listening.down()
    await house.settled(lambda: not house.node.services.directory.told)
    await asyncio.sleep(0.1)
    for value in (14, 15):
        await house.set(KEY, value)
        assert _known(house) != value, "nobody has told it"
        assert (await _call(house)).status == 200
        rows = await house.fetch("select 1 from call")
        assert rows is not None
        await house.settled(lambda value=value: _known(house) == value)  # type: ignore[misc]
        await asyncio.sleep(0.3)
        assert await _pinned(house) == value

    await everything.down()
    assert (await _call(house)).status == 200, "what was known a moment ago is good for a call"
    monkeypatch.setattr("sivo.routing.live.LAST_KNOWN_GOOD_S", 0.2)
    await asyncio.sleep(0.3)
    refused = await _call(house)
    assert refused.status == 503 and int(refused.headers["retry-after"]) > 0
    await everything.up()
    assert (await _call(house)).status == 200

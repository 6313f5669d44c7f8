"""The database goes away under running calls: phones notice nothing, and everything is written afterwards.

``SIVO_TEST_OUTAGE_SECONDS`` (0) makes it last so much longer than new calls are still taken.
"""

from __future__ import annotations

import asyncio
import os
import time

from call_house import DID, House

from sivo.routing.live import GRACE_S
from support.pg_proxy import PgProxy
from support.rtp_phone import RtpPhone

SECONDS = float(os.environ.get("SIVO_TEST_OUTAGE_SECONDS", "0"))


async def test_phones_notice_nothing_and_nothing_is_lost(shaky: tuple[House, PgProxy]) -> None:
    house, proxy = shaky
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await house.until("select 1 from call where state = 'answered'")
    await proxy.down()
    gone, frames = time.monotonic(), len(rtp.received)
    rtp.press("1")
    other = await house.phone("101")
    before = time.monotonic()
    assert (await other.register()).status == 200
    assert time.monotonic() - before < 1.0
    caller = await house.phone("100")
    caller.send(caller.request("INVITE", f"sip:{DID}@{house.domain}"))  # at the latest now the database is asked
    await caller.wait(401)
    await asyncio.sleep(GRACE_S + 0.2)
    for _ in range(round(SECONDS / 5)):
        await asyncio.sleep(4.5)
        assert (await (await house.phone("101")).register(0)).status == 200
        assert (await (await house.phone("100")).invite(DID, 4000)).status == 503
    caller.inbox.clear()
    refused = await caller.invite(DID, 4000)
    assert refused.status == 503 and int(refused.headers["retry-after"]) > 0
    seconds = time.monotonic() - gone
    assert abs(len(rtp.received) - frames - 50 * seconds) <= 0.1 * 50 * seconds, "who talks goes on hearing"
    rtp.press("#")
    bye = await phone.wait("BYE")
    assert 'text="agent_hangup"' in bye.headers["reason"]
    await asyncio.sleep(1.0)
    assert house.node.services.recorder.backlog > 0
    await proxy.up()
    call = await house.until("select * from call where finished", timeout=20)
    assert (call["state"], call["exit_reason"]) == ("ended", "agent_hangup")
    assert len(await house.fetch("select 1 from turn")) == 1
    assert len(await house.fetch("select 1 from segment")) == 2
    await house.until("select 1 from registration where extension = '101'", timeout=20)
    async with house.database.platform("test: outbox") as conn:
        types = [row["type"] for row in await conn.fetch("select type from outbox")]
    assert types.count("transcript.segment") == 2
    assert len(types) == len(set(types)) + 1, "an event stands there twice"
    assert house.node.services.recorder.failed == 0
    await house.settled(lambda: not house.node.services.directory.gone)
    again = await house.phone("100")
    assert (await again.invite(DID, 4000)).status == 200
    assert (await again.bye()).status == 200
    await rtp.close()

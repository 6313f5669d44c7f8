"""kill -9 of a media process at random moments of a call: BYE at once, the next call works, nothing is missing.

Twice, or as often as ``SIVO_TEST_KILLS`` says (``make test-long``: ten times).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest
from call_house import DID, House

from sivo.media import journal
from sivo.media.journal import KEY_PURPOSE
from support.rtp_phone import RtpPhone

#: What the product promises, times three for a busy machine.
BYE_SECONDS = 3 * 1.0
NEXT_CALL_SECONDS = 3 * 2.0
SHORT_BY_MS = 500
KILLS = int(os.environ.get("SIVO_TEST_KILLS", "2"))


async def kill_once(house: House, moment: float) -> None:
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    assert answer.status == 200
    up = time.monotonic()
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    call = next(c for c in house.node.exchange.calls if not c.ended)
    assert call.media is not None
    index = call.media.link.index
    pressed = 0
    while time.monotonic() - up < moment:
        await asyncio.sleep(0.35)
        rtp.press("1")
        pressed += 1
        await asyncio.sleep(0.35)
    lived_ms = (time.monotonic() - up) * 1000
    house.stop_media(index, signal.SIGKILL)
    killed = time.monotonic()
    bye = await phone.wait("BYE")
    assert time.monotonic() - killed < BYE_SECONDS
    assert 'text="node_failure"' in bye.headers["reason"]
    again = await house.phone("101")
    assert (await again.invite(DID, 4000)).status == 200
    assert time.monotonic() - killed < NEXT_CALL_SECONDS
    assert (await again.bye()).status == 200
    house.start_media(index)
    await house.until("select 1 from call where id = $1 and finished", call.id)
    await check(house, str(call.id), pressed, lived_ms)
    await rtp.close()
    await house.settled(lambda: house.node.services.media.links[index].ready, timeout=20)


async def check(house: House, call_id: str, pressed: int, lived_ms: float) -> None:
    """Database and journal hold everything that had happened 350 ms before the kill."""
    turns = await house.fetch("select turn from turn where call_id = $1 order by turn", call_id)
    assert [row["turn"] for row in turns] == list(range(1, pressed + 1))
    assert len(await house.fetch("select 1 from segment where call_id = $1", call_id)) == 2 * pressed
    row = (await house.fetch("select journal_path from recording where call_id = $1 and wanted", call_id))[0]
    path = Path(row["journal_path"])
    key = await house.vault.open(house.tenant, KEY_PURPOSE, journal.read_header(path).key_sealed)
    found = journal.read(path, key)
    assert lived_ms - found.last_ms < SHORT_BY_MS
    assert sum(1 for _ in found.frames()) * 20 > lived_ms - SHORT_BY_MS


@pytest.mark.timeout(60 + 30 * KILLS)
async def test_kills_at_random_moments(two_media_house: House) -> None:
    rng = random.Random(20261122)
    for _ in range(KILLS):
        await kill_once(two_media_house, rng.uniform(0.1, 1.5))

"""A third hand: linphone on TLS with SRTP calls linphone, holds, presses keys and passes the call on to a baresip.

Part of ``make test-long``: linphone-cli brings a hundred packages with it.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from call_house import PASSWORD, House
from secure_phone import add_protected_extension, running_secure_house

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.baresip import Account, Baresip, spoken
from support.linphone import Linphone
from support.ports import free_port
from support.rtp_phone import level_db, tone

HERTZ = {"100": 500, "101": 1000, "102": 1700}


@pytest.mark.timeout(300)
async def test_linphones_on_tls_with_srtp_hold_press_keys_and_transfer(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    assert shutil.which("linphonec"), "linphone is missing: sudo apt-get install -y linphone-cli"
    async with running_secure_house(settings, database, tmp_path) as (house, _, ca):
        await add_protected_extension(house, "102")
        heard = await hold_press_and_transfer(house, ca, tmp_path)
        facts = await house.fetch("select body from call_fact where kind = 'digit' order by seq")
        assert "".join(fact["body"]["digit"] for fact in facts) == "19#"
        row = await house.until("select * from call where finished")
        assert (row["hangup_cause"], row["hangup_by"]) == ("NORMAL_CLEARING", "callee")
        for listener, speaker in (("100", "101"), ("101", "100"), ("101", "102"), ("102", "101")):
            assert loudest_db(heard[listener], HERTZ[speaker]) > -30, f"{listener} has heard {speaker}"
        offers = [one["raw"] for one in await house.fetch("select raw from sip_message where raw like 'INVITE%'")]
        assert len(offers) >= 4
        assert all("RTP/SAVP" in offer and "a=crypto:" in offer for offer in offers if "m=audio" in offer)
        left, right = await house.record(row)
        assert level_db(left, HERTZ["100"]) > -40 and level_db(left, HERTZ["101"]) < -45
        assert level_db(right, HERTZ["101"]) > -40 and level_db(right, HERTZ["100"]) < -45


async def hold_press_and_transfer(house: House, ca: Path, folder: Path) -> dict[str, np.ndarray]:
    """100 calls 101, holds and takes it back, presses keys and passes it on to 102; 101 hangs up.

    Gives what each has heard, 8 kHz.
    """
    proxy = f"127.0.0.1:{house.node.services.sip.streams.port('TLS')}"
    named = proxy.replace("127.0.0.1", "localhost")  # its TLS library compares names only
    voices = {number: spoken(folder / f"{number}.wav", tone(hertz, 30.0)) for number, hertz in HERTZ.items()}
    caller = Account("100", house.domain, PASSWORD, named, transport="tls")
    callee = Account("101", house.domain, PASSWORD, named, answer="auto", transport="tls")
    third = Account("102", house.domain, PASSWORD, proxy, answer="auto", transport="tls", mediaenc="srtp-mand")
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                Linphone(account, rtp=free_port(), authority=ca, voice=voices[account.user])
            )
            for account in (caller, callee)
        ]
        other = stack.enter_context(
            Baresip(third, port=32150, rtp=33060, voice=voices["102"], seconds=50, authority=ca)
        )
        await house.until("select 1 from registration having count(distinct extension) = 3", timeout=20)
        await one.type(f"call sip:101@{house.domain}")
        await house.until("select 1 from call where state = 'answered'", timeout=10)
        await one.type(f"play {voices['100']}")
        await two.type(f"play {voices['101']}")
        await asyncio.sleep(2.5)
        await one.type("pause")
        await asyncio.sleep(2.0)
        await one.type("resume 1")
        await asyncio.sleep(1.5)
        await one.type(f"play {voices['100']}", "19#")
        await house.until("select 1 from call_fact where kind = 'digit' having count(*) = 3", timeout=10)
        await one.type(f"transfer sip:102@{house.domain}")
        await house.until("select 1 from outbox where type = 'call.transferred'", timeout=10)
        await asyncio.sleep(2.5)
        await two.type("terminate")
        await house.until("select 1 from call where finished", timeout=10)
        await asyncio.gather(one.stop(), two.stop(), asyncio.to_thread(other.stop))
        return {"100": one.heard(), "101": two.heard(), "102": other.heard()}


def loudest_db(samples: np.ndarray, hertz: int) -> float:
    """The best second of it."""
    seconds = [samples[at : at + 8000] for at in range(0, max(len(samples) - 8000, 1), 4000)]
    return max(level_db(second.astype("<i2").tobytes(), hertz) for second in seconds)

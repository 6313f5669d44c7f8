"""A third hand: linphone on TLS with SRTP calls linphone, holds, presses keys and passes the call on to a baresip.

Part of ``make test-long``: linphone-cli brings a hundred packages with it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path

import pytest
from call_house import PASSWORD, House
from secure_phone import channels
from test_calls_baresip import voice

from support.baresip import Account, Baresip
from support.linphone import Linphone
from support.ports import free_port
from support.rtp_phone import level_db

pytestmark = pytest.mark.skipif(
    not os.environ.get("SIVO_TEST_LINPHONE"), reason="linphone is a judge of make test-long (SIVO_TEST_LINPHONE=1)"
)
HERTZ = {"100": 500, "101": 1000, "102": 1700}


async def test_linphones_on_tls_with_srtp_hold_press_keys_and_transfer(
    secure_house: tuple[House, ssl.SSLContext, Path], tmp_path: Path
) -> None:
    assert shutil.which("linphonec"), "linphone is missing: sudo apt-get install -y linphone-cli"
    house, _, ca = secure_house
    await house.create("extension", {"number": "102", "sip_password": PASSWORD, "srtp": "required"})
    directory = house.node.services.directory
    await house.settled(lambda: len(directory.current.pictures[house.tenant].extensions) == 3)
    proxy = f"127.0.0.1:{house.node.services.sip.streams.port('TLS')}"
    voices = {number: voice(tmp_path / f"{number}.wav", hertz, 30.0) for number, hertz in HERTZ.items()}
    named = proxy.replace("127.0.0.1", "localhost")  # its TLS library compares names only
    caller = Account("100", house.domain, PASSWORD, named, transport="tls")
    callee = Account("101", house.domain, PASSWORD, named, answer="auto", transport="tls")
    third = Account("102", house.domain, PASSWORD, proxy, answer="auto", transport="tls", mediaenc="srtp-mand")
    with (
        Linphone(caller, rtp=free_port(), authority=ca, voice=voices["100"]) as one,
        Linphone(callee, rtp=free_port(), authority=ca, voice=voices["101"]) as two,
        Baresip(third, port=32150, rtp=33060, voice=voices["102"], seconds=50, authority=ca) as other,
    ):
        await house.until("select 1 from registration having count(distinct extension) = 3", timeout=20)
        one.type(f"call sip:101@{house.domain}")
        await house.until("select 1 from call where state = 'answered'", timeout=10)
        one.type(f"play {voices['100']}")
        two.type(f"play {voices['101']}")
        await asyncio.sleep(2.5)
        one.type("pause")
        await asyncio.sleep(2.0)
        one.type("resume 1")
        await asyncio.sleep(1.5)
        one.type(f"play {voices['100']}", "19#")
        await house.until("select 1 from call_fact where kind = 'digit' having count(*) = 3", timeout=10)
        one.type(f"transfer sip:102@{house.domain}")
        await house.until("select 1 from outbox where type = 'call.transferred'", timeout=10)
        await asyncio.sleep(2.5)
        two.type("terminate")
        row = await house.until("select * from call where finished", timeout=10)
        for phone in (one, two, other):
            phone.stop()
        heard = {"100": one.heard(), "101": two.heard(), "102": other.heard()}
    facts = await house.fetch("select body from call_fact where kind = 'digit' order by seq")
    assert "".join(fact["body"]["digit"] for fact in facts) == "19#"
    assert (row["hangup_cause"], row["hangup_by"]) == ("NORMAL_CLEARING", "callee")
    for listener, speaker in (("100", "101"), ("101", "100"), ("101", "102"), ("102", "101")):
        samples = heard[listener]
        loudest = max(
            level_db(samples[at : at + 8000].astype("<i2").tobytes(), HERTZ[speaker])
            for at in range(0, max(len(samples) - 8000, 1), 4000)
        )
        assert loudest > -30, f"{listener} has heard {speaker}"
    offers = [one["raw"] for one in await house.fetch("select raw from sip_message where raw like 'INVITE%'")]
    assert len(offers) >= 4
    assert all("RTP/SAVP" in offer and "a=crypto:" in offer for offer in offers if "m=audio" in offer)
    left, right = await channels(house, row)
    assert level_db(left, HERTZ["100"]) > -40 and level_db(left, HERTZ["101"]) < -45
    assert level_db(right, HERTZ["101"]) > -40 and level_db(right, HERTZ["100"]) < -45

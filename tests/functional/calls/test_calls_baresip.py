"""Phones that nobody here wrote: two baresips of one tenant call each other through the node."""

from __future__ import annotations

import asyncio
import audioop
import ssl
import wave
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from call_house import PASSWORD, House
from secure_phone import channels

from support.baresip import Account, Baresip
from support.ports import free_port
from support.rtp_phone import level_db, tone


def voice(path: Path, hertz: int, seconds: float = 12.0) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone(hertz, seconds))
    return path


def pcm(samples: np.ndarray) -> bytes:
    """The middle of what a phone heard, one second."""
    middle = len(samples) // 2
    return samples[middle - 4000 : middle + 4000].astype("<i2").tobytes()


async def test_two_baresips_hear_each_other(house: House, tmp_path: Path) -> None:
    proxy = f"127.0.0.1:{house.settings.sip_port}"
    callee = Account("101", house.domain, PASSWORD, proxy, answer="auto")
    caller = Account("100", house.domain, PASSWORD, proxy)
    low, high = voice(tmp_path / "low.wav", 500), voice(tmp_path / "high.wav", 1500)
    with Baresip(callee, port=33021, rtp=33040, voice=high, seconds=14) as called:
        await house.until("select 1 from registration where extension = '101'", timeout=10)
        dial = f"/dial sip:101@{house.domain}"
        with Baresip(caller, port=33031, rtp=33060, voice=low, commands=(dial,), seconds=9) as calling:
            await house.until("select 1 from call where state = 'answered'", timeout=10)
            await asyncio.sleep(4)
            calling.stop()
            call = await house.until("select * from call where finished", timeout=10)
            heard_by_caller = pcm(calling.heard())
        await asyncio.sleep(0.5)
        called.stop()
        heard_by_callee = pcm(called.heard())
    assert (call["hangup_cause"], call["hangup_by"]) == ("NORMAL_CLEARING", "caller")
    assert audioop.rms(heard_by_caller, 2) > 500 and audioop.rms(heard_by_callee, 2) > 500
    assert level_db(heard_by_caller, 1500) - level_db(heard_by_caller, 500) > 30
    assert level_db(heard_by_callee, 500) - level_db(heard_by_callee, 1500) > 30


async def test_baresips_on_tls_with_srtp_hold_press_keys_and_transfer(
    secure_house: tuple[House, ssl.SSLContext, Path], tmp_path: Path
) -> None:
    """100 calls 101, holds and takes it back, presses keys, and passes it on to 102: heard from what each recorded."""
    house, _, ca = secure_house
    await house.create("extension", {"number": "102", "sip_password": PASSWORD, "srtp": "required"})
    directory = house.node.services.directory
    await house.settled(lambda: len(directory.current.pictures[house.tenant].extensions) == 3)
    tls = house.node.services.sip.streams.port("TLS")
    accounts = {
        "100": Account("100", house.domain, PASSWORD, f"127.0.0.1:{tls}", transport="tls", mediaenc="srtp-mand"),
        "101": Account("101", house.domain, PASSWORD, f"127.0.0.1:{tls}", None, "auto", "tls", "srtp"),
        "102": Account("102", house.domain, PASSWORD, f"127.0.0.1:{tls}", None, "auto", "tls", "srtp-mand"),
    }
    hertz = {"100": 500, "101": 1000, "102": 1700}
    with ExitStack() as stack:
        phones = {}
        for number, account in accounts.items():
            phones[number] = stack.enter_context(
                Baresip(
                    account,
                    port=32110 + 10 * (int(number) - 100),  # and the next one, for TLS
                    rtp=33060 + 20 * (int(number) - 100),
                    voice=voice(tmp_path / f"{number}.wav", hertz[number], 20.0),
                    seconds=40,
                    authority=ca,
                    control=free_port(),
                )
            )
        one = phones["100"]
        await house.until("select 1 from registration having count(distinct extension) = 3", timeout=15)
        one.command("dial", f"sip:101@{house.domain}")
        await house.until("select 1 from call where state = 'answered'", timeout=10)
        await asyncio.sleep(2.0)
        one.command("hold")
        await asyncio.sleep(1.5)
        one.command("resume")
        await asyncio.sleep(1.0)
        one.command("sndcode", "19#")
        pressed = "select 1 from call_fact where kind = 'digit' having count(*) = 3"
        await house.until(pressed, timeout=10)
        one.command("transfer", f"sip:102@{house.domain}")
        await house.until("select 1 from outbox where type = 'call.transferred'", timeout=10)
        await asyncio.sleep(2.0)
        phones["102"].command("hangup")
        row = await house.until("select * from call where finished", timeout=10)
        await asyncio.gather(*(asyncio.to_thread(phone.stop) for phone in phones.values()))
        heard = {number: phone.heard() for number, phone in phones.items()}
    facts = await house.fetch("select body from call_fact where kind = 'digit' order by seq")
    assert "".join(fact["body"]["digit"] for fact in facts) == "19#"
    assert (row["hangup_cause"], row["hangup_by"]) == ("NORMAL_CLEARING", "caller")

    def level(number: str, of: str, start: float, end: float) -> float:
        samples = heard[number][int(8000 * start) : int(8000 * end)] if end > 0 else heard[number][int(8000 * start) :]
        return level_db(samples.astype("<i2").tobytes(), hertz[of])

    assert level("100", "101", 0.5, 1.5) > -30, "100 hears 101"
    assert level("101", "100", 0.5, 1.5) > -30, "101 hears 100"
    assert level("101", "102", -1.5, 0) > -30 and level("101", "100", -1.5, 0) < -45, "and 102 in the end"
    assert level("102", "101", -1.5, 0) > -30
    silent = min(level("101", "100", start / 10, start / 10 + 0.5) for start in range(10, 45))
    assert silent < -45, "there was silence on hold"
    offers = [one["raw"] for one in await house.fetch("select raw from sip_message where raw like 'INVITE%'")]
    assert len(offers) >= 4 and all("RTP/SAVP" in offer and "a=crypto:" in offer for offer in offers)
    caller, callee = await channels(house, row)
    assert level_db(caller, hertz["100"]) > -35 and level_db(caller, hertz["101"]) < -45
    assert level_db(callee, hertz["101"]) > -35 and level_db(callee, hertz["100"]) < -45

"""Phones that nobody here wrote: two baresips of one tenant call each other through the node."""

from __future__ import annotations

import asyncio
import audioop
import wave
from pathlib import Path

import numpy as np
from call_house import PASSWORD, House

from support.baresip import Account, Baresip
from support.rtp_phone import level_db, tone


def voice(path: Path, hertz: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone(hertz, 12.0))
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

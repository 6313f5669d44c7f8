"""Phones that nobody here wrote: two baresips of one tenant call each other through the node."""

from __future__ import annotations

import asyncio
import audioop
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from call_house import PASSWORD, House
from secure_phone import add_protected_extension

from support.baresip import Account, Baresip, spoken
from support.ports import free_port
from support.rtp_phone import level_db, tone

HERTZ = {"100": 500, "101": 1000, "102": 1700}


def pcm(samples: np.ndarray) -> bytes:
    """The middle of what a phone heard, one second."""
    middle = len(samples) // 2
    return samples[middle - 4000 : middle + 4000].astype("<i2").tobytes()


async def test_two_baresips_hear_each_other(house: House, tmp_path: Path) -> None:
    proxy = f"127.0.0.1:{house.settings.sip_port}"
    callee = Account("101", house.domain, PASSWORD, proxy, answer="auto")
    caller = Account("100", house.domain, PASSWORD, proxy)
    low, high = (spoken(tmp_path / f"{hertz}.wav", tone(hertz, 12.0)) for hertz in (500, 1500))
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


@contextmanager
def three_on_tls(house: House, folder: Path, ca: Path) -> Iterator[dict[str, Baresip]]:
    """Three that speak SRTP, each with a tone of its own; 100 calls, the others answer."""
    proxy = f"127.0.0.1:{house.node.services.sip.streams.port('TLS')}"
    ways = {"100": ("manual", "srtp-mand"), "101": ("auto", "srtp"), "102": ("auto", "srtp-mand")}
    with ExitStack() as stack:
        yield {
            number: stack.enter_context(
                Baresip(
                    Account(number, house.domain, PASSWORD, proxy, None, answer, "tls", keys),
                    port=32110 + 10 * at,  # and the next one, for TLS
                    rtp=33060 + 20 * at,
                    voice=spoken(folder / f"{number}.wav", tone(HERTZ[number], 20.0)),
                    seconds=40,
                    authority=ca,
                    control=free_port(),
                )
            )
            for at, (number, (answer, keys)) in enumerate(ways.items())
        }


async def hold_press_and_transfer(house: House, phones: dict[str, Baresip]) -> None:
    """100 calls 101, holds and takes it back, presses keys and passes it on to 102, which hangs up."""
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
    await house.until("select 1 from call_fact where kind = 'digit' having count(*) = 3", timeout=10)
    one.command("transfer", f"sip:102@{house.domain}")
    await house.until("select 1 from outbox where type = 'call.transferred'", timeout=10)
    await asyncio.sleep(2.0)
    phones["102"].command("hangup")


async def test_baresips_on_tls_with_srtp_hold_press_keys_and_transfer(
    secure_house: tuple[House, ssl.SSLContext, Path], tmp_path: Path
) -> None:
    """Heard from what each of the three recorded, and from our own record."""
    house, _, ca = secure_house
    await add_protected_extension(house, "102")
    with three_on_tls(house, tmp_path, ca) as phones:
        await hold_press_and_transfer(house, phones)
        row = await house.until("select * from call where finished", timeout=10)
        await asyncio.gather(*(asyncio.to_thread(phone.stop) for phone in phones.values()))
        heard = {number: phone.heard() for number, phone in phones.items()}
    facts = await house.fetch("select body from call_fact where kind = 'digit' order by seq")
    assert "".join(fact["body"]["digit"] for fact in facts) == "19#"
    assert (row["hangup_cause"], row["hangup_by"]) == ("NORMAL_CLEARING", "caller")

    def level(number: str, of: str, start: float, end: float) -> float:
        samples = heard[number][int(8000 * start) : int(8000 * end) or None]
        return level_db(samples.astype("<i2").tobytes(), HERTZ[of])

    assert level("100", "101", 0.5, 1.5) > -30, "100 hears 101"
    assert level("101", "100", 0.5, 1.5) > -30, "101 hears 100"
    assert level("101", "102", -1.5, 0) > -30 and level("101", "100", -1.5, 0) < -45, "and 102 in the end"
    assert level("102", "101", -1.5, 0) > -30
    silent = min(level("101", "100", start / 10, start / 10 + 0.5) for start in range(10, 45))
    assert silent < -45, "there was silence on hold"
    offers = [one["raw"] for one in await house.fetch("select raw from sip_message where raw like 'INVITE%'")]
    assert len(offers) >= 4 and all("RTP/SAVP" in offer and "a=crypto:" in offer for offer in offers)
    caller, callee = await house.record(row)
    assert level_db(caller, HERTZ["100"]) > -35 and level_db(caller, HERTZ["101"]) < -45
    assert level_db(callee, HERTZ["101"]) > -35 and level_db(callee, HERTZ["100"]) < -45

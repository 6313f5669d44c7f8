"""More than two on the line: who hears whom, and what the record holds of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from call_desk import HERTZ, Desk, connect, desk
from call_house import PASSWORD, House

from sivo.base.clock import SystemClock
from sivo.base.errors import SivoError
from sivo.calls import orders
from support.rtp_phone import level_db

LOUD, SILENT = -30, -45


def hears(phone: Desk) -> set[str]:
    """Whose tones a phone has heard in the last half second."""
    heard = phone.rtp.heard()[-16 * 500 :]
    return {number for number, hertz in HERTZ.items() if level_db(heard, hertz) > LOUD}


async def who_hears(*wanted: tuple[Desk, set[str]], why: str = "") -> None:
    """Wait until phones hear just these others, and still do half a second later."""
    phones, others = zip(*wanted, strict=True)
    found: tuple[set[str], ...] = ()
    async with asyncio.timeout(15):
        while found != others:
            await asyncio.sleep(0.3)
            found = tuple(map(hears, phones))
            if found == others:
                await asyncio.sleep(0.6)
                found = tuple(map(hears, phones))
            print("who hears whom:", [sorted(one) for one in found], why)


@pytest.fixture
async def four(house: House) -> House:
    for number in ("102", "103"):
        await house.create("extension", {"number": number, "sip_password": PASSWORD})
    await asyncio.sleep(1.5)
    return house


async def give(house: House, call: dict[str, Any], kind: str, **body: str) -> dict[str, Any]:
    return await orders.give(house.database, SystemClock(), house.tenant, call["id"], kind, body, "user:boss")


async def test_listen_whisper_barge_and_leave(four: House) -> None:
    one, two, boss = await desk(four, "100"), await desk(four, "101"), await desk(four, "102")
    await connect(one, two)
    call = await four.until("select * from call where state = 'answered'")
    await give(four, call, "supervise", extension="102", mode="listen")
    boss.invite = await boss.sip.wait("INVITE")
    boss.talk(boss.invite.rtp_port)
    await who_hears((one, {"101"}), (two, {"100"}), (boss, {"100", "101"}), why="listening is silent")
    await give(four, call, "supervise", extension="102", mode="whisper")
    await who_hears((one, {"101"}), (two, {"100", "102"}), (boss, {"100", "101"}))
    quiet_ms = 20 * len(list(journal_frames(await four.record(call | await refreshed(four, call)))))
    await give(four, call, "supervise", extension="102", mode="barge")
    await who_hears((one, {"101", "102"}), (two, {"100", "102"}), (boss, {"100", "101"}))
    await give(four, call, "leave", to="102")
    await boss.sip.wait("BYE")
    await who_hears((one, {"101"}), (two, {"100"}))
    assert (await one.sip.bye()).status == 200
    ended = await four.until("select * from call where finished")
    caller, agent = await four.record(ended)
    print(f"quiet until {quiet_ms} ms of {len(caller) // 16} ms")
    before, after = 16 * (quiet_ms - 200), 16 * (quiet_ms + 300)
    for hertz in (HERTZ["101"], HERTZ["102"]):
        assert level_db(caller, hertz) < SILENT, "the caller's channel holds the caller"
    assert level_db(caller, HERTZ["100"]) > LOUD and level_db(agent, HERTZ["101"]) > LOUD
    assert level_db(agent[:before], HERTZ["102"]) < SILENT, "what the caller did not hear is not in the record"
    assert level_db(agent[after : after + 16 * 600], HERTZ["102"]) > LOUD, "what both heard is"
    decisions = await four.fetch("select outcome, details from call_decision where kind = 'supervision' order by at")
    assert [(row["outcome"], row["details"]["author"]) for row in decisions] == [
        ("listen", "user:boss"),
        ("whisper", "user:boss"),
        ("barge", "user:boss"),
    ]
    legs = await four.fetch("select kind, outcome from leg order by created_at")
    assert [(leg["kind"], leg["outcome"]) for leg in legs][-1] == ("supervisor", "ended")
    for phone in (one, two, boss):
        await phone.close()


def journal_frames(channels: tuple[bytes, bytes]) -> list[bytes]:
    return [channels[0][n : n + 320] for n in range(0, len(channels[0]), 320)]


async def refreshed(house: House, call: dict[str, Any]) -> dict[str, Any]:
    return await house.until("select * from call where id = $1 and journal_path is not null", call["id"])


async def test_three_talk_and_the_third_may_hang_up(four: House) -> None:
    one, two, third = await desk(four, "100"), await desk(four, "101"), await desk(four, "103")
    await connect(one, two)
    call = await four.until("select * from call where state = 'answered'")
    await give(four, call, "invite", to="103")
    third.invite = await third.sip.wait("INVITE")
    third.talk(third.invite.rtp_port)
    await who_hears((one, {"101", "103"}), (two, {"100", "103"}), (third, {"100", "101"}))
    third.in_dialog("BYE")
    await third.sip.wait((200, "BYE"))
    await who_hears((one, {"101"}), (two, {"100"}), why="the call goes on")
    assert (await one.sip.bye()).status == 200
    await four.until("select * from call where finished")
    for phone in (one, two, third):
        await phone.close()


async def test_guests_stay_through_a_transfer_and_go_with_the_call(four: House) -> None:
    one, two, boss, third = [await desk(four, number) for number in ("100", "101", "102", "103")]
    await connect(one, two)
    call = await four.until("select * from call where state = 'answered'")
    await give(four, call, "supervise", extension="102", mode="listen")
    boss.talk((await boss.sip.wait("INVITE")).rtp_port)
    await give(four, call, "transfer", to="103")
    third.talk((await third.sip.wait("INVITE")).rtp_port)
    await two.sip.wait("BYE")
    await who_hears((one, {"103"}), (third, {"100"}), (boss, {"100", "103"}))
    assert (await one.sip.bye()).status == 200
    await boss.sip.wait("BYE")
    await third.sip.wait("BYE")
    await four.until("select * from call where finished")
    for phone in (one, two, boss, third):
        await phone.close()


async def test_what_cannot_be_is_refused(four: House) -> None:
    one, two = await desk(four, "100"), await desk(four, "101")
    await connect(one, two)
    call = await four.until("select * from call where state = 'answered'")
    with pytest.raises(SivoError, match="no phone"):
        await give(four, call, "supervise", extension="103", mode="listen")
    with pytest.raises(SivoError, match="no guest"):
        await give(four, call, "leave", to="103")
    assert (await one.sip.bye()).status == 200
    for phone in (one, two):
        await phone.close()

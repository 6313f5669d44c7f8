"""kill -9 of one process while calls are up, and what is promised about it.

In short; ``make test-long`` does it at length.
"""

from __future__ import annotations

import asyncio

import pytest

from support import kills
from support.ai_desk import Caller
from support.company import open_company
from support.event_sink import lost_nothing
from support.place_to_hurt import Place
from support.raw_phone import Message, RawPhone
from support.reckoning import reckon
from support.traffic import Attempt, Traffic

pytestmark = pytest.mark.asyncio(loop_scope="session")
TALKING = 10


async def test_media_dies_under_a_talk_with_the_agent(place: Place) -> None:
    print((await kills.kill_media_under_agent(place.desk, place.agents, 6.0)).line())


async def test_media_dies_under_two_people(place: Place) -> None:
    for index in range(2):
        await kills.back(place.node, "media", index)
    print((await kills.kill_media_under_people(place.desk, place.company, 2.0)).line())


async def test_worker_and_api_die_and_no_event_is_lost(place: Place) -> None:
    replies: list[float] = []
    caller = await Caller.dial(place.desk)
    talk = asyncio.create_task(kills.talking(place.desk, caller, asyncio.get_running_loop().time() + 7, replies))
    for role in ("worker", "api", "worker"):
        await asyncio.sleep(1.5)
        await kills.back(place.node, role)
        kills.kill(place.node, role)
    await talk
    await caller.close()
    await kills.back(place.node, "api")
    await lost_nothing(place.sink, place.desk, caller.number, len(replies))
    assert len(replies) >= 2


def byes(phone: RawPhone) -> list[Message]:
    """Those that have come."""
    return [one for one in phone.inbox if one.method == "BYE" and not one.status]


async def test_call_dies_with_ten_calls_up_and_then_everything(place: Place) -> None:
    """Ten talk, one rings. All are told within 5 s after the restart; registrations are there; nothing is missing."""
    company = await open_company(place.node)  # of its own: the reckoning knows every call that it ever had
    await company.make("webhooks", place.sink.endpoint())
    async with company.phone("202") as person, company.phone("201") as ringing, company.phone("202") as other:
        person.auto_answer, person.rtp_port, ringing.auto_answer = 200, 4002, 180
        assert (await person.register()).status == (await ringing.register()).status == 200
        calls = Traffic(company, iter(()))
        talking_ = [asyncio.create_task(calls.call(60)) for _ in range(TALKING)]
        waiting = asyncio.create_task(other.invite("201", 4004))
        await ringing.wait("INVITE", 20)
        async with asyncio.timeout(20):
            while calls.up < TALKING:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        killed = kills.kill(place.node, "call")
        cancel = await ringing.wait("CANCEL", 30)
        refused = await waiting
        ended = await asyncio.gather(*talking_)
        async with asyncio.timeout(5):
            while len({one.headers["call-id"] for one in byes(person)}) < TALKING:
                await asyncio.sleep(0.02)
        took = asyncio.get_running_loop().time() - killed
        assert [one.ended_by for one in ended] == ["platform"] * TALKING
        assert all('text="node_failure"' in text for text in (*(one.reason for one in ended), cancel.headers["reason"]))
        assert refused.status == 503 and int(refused.headers["retry-after"]) > 0
        at = [cancel.at, *(one.at for one in byes(person))]
        print(f"{TALKING} calls, one that rang: {took:.1f} s after the kill, all within {max(at) - min(at):.2f} s")
        assert took < 3 * 5.0
        again = await calls.call(0.3)
        assert again.status == 200, "the registration of 202 did not survive"

        assert (await reckon(company, place.sink, [*calls.attempts, Attempt("202")])).missing == []
        last = [asyncio.create_task(calls.call(60)) for _ in range(3)]
        async with asyncio.timeout(20):
            while calls.up < len(last):
                await asyncio.sleep(0.05)
        kills.kill_everything(place.node)
        print(f"everything was killed; up again after {await kills.start_again(place.node):.1f} s")
        assert [one.ended_by for one in await asyncio.gather(*last)] == ["platform"] * 3
        assert (await calls.call(0.3)).status == 200
    own = [*calls.attempts, Attempt("202")]
    found = await reckon(company, place.sink, own, timeout=150)
    print(found.line())
    assert (found.missing, found.wrong) == ([], [])
    assert found.answered == TALKING + 5 and found.calls == TALKING + 6

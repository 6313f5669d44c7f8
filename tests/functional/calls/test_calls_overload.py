"""Twice as many callers as there is room for: the surplus is told to come back later, and those who talk notice
nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from call_house import DID, House

from sivo.media import protocol as wire
from support.raw_phone import RawPhone
from support.rtp_phone import RtpPhone, tone

CAP = 8
#: Media tells its lateness every 5 s.
WINDOW_SECONDS = 5.2


class Lateness:
    """What the media process says of its own clock."""

    def __init__(self, house: House) -> None:
        self.notes: list[dict[str, Any]] = []
        house.node.switchboard.media_note = self._take  # type: ignore[method-assign]

    def _take(self, _link: object, note: wire.Note) -> None:
        if note.kind == "load":
            self.notes.append(note.data)

    async def next(self) -> dict[str, Any]:
        """The next window that begins after now."""
        wanted = len(self.notes) + 2
        async with asyncio.timeout(4 * WINDOW_SECONDS):
            while len(self.notes) < wanted:
                await asyncio.sleep(0.05)
        return self.notes[-1]


async def trunk_phone(house: House, number: int) -> RawPhone:
    phone = await RawPhone.open(f"+3460011{number:04}", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(phone)
    return phone


async def talking(house: House, number: int) -> tuple[RawPhone, RtpPhone]:
    phone, rtp = await trunk_phone(house, number), await RtpPhone.open("127.0.0.8")
    answer = await phone.invite(DID, rtp.port, auth=False)
    assert answer.status == 200
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.play(tone(400, 60))
    rtp.start()
    return phone, rtp


async def knock(house: House, number: int, refused: list[float], stop: asyncio.Event) -> None:
    """Ring again and again, as a dialler does."""
    while not stop.is_set():
        phone = await trunk_phone(house, number)
        answer = await phone.invite(DID, 4000, auth=False)
        assert answer.status == 503, answer.first_line
        refused.append(float(answer.headers["retry-after"]))
        phone.close()
        house.phones.remove(phone)
        await asyncio.sleep(0.1)


async def test_at_twice_the_cap_running_calls_keep_their_clock(small_house: House) -> None:
    house = small_house
    lateness = Lateness(house)
    calls = [await talking(house, number) for number in range(CAP)]
    calm = await lateness.next()
    refused: list[float] = []
    stop = asyncio.Event()
    knocking = [asyncio.create_task(knock(house, 100 + number, refused, stop)) for number in range(CAP)]
    before = [len(rtp.received) for _, rtp in calls]
    begun = asyncio.get_running_loop().time()
    storm = await lateness.next()
    stop.set()
    await asyncio.gather(*knocking)
    seconds = asyncio.get_running_loop().time() - begun
    got = [len(rtp.received) - count for (_, rtp), count in zip(calls, before, strict=True)]
    print(
        f"{len(refused)} refused in {seconds:.1f} s; lateness calm {calm['recent']}, at twice the cap {storm['recent']}"
    )
    assert calm["sessions"] == storm["sessions"] == CAP
    assert len(refused) > 3 * CAP and set(refused) == {5.0}
    assert all(abs(count - 50 * seconds) <= 0.05 * 50 * seconds for count in got), f"every frame goes out: {got}"
    assert storm["skipped_ticks"] == calm["skipped_ticks"]
    # A busy machine has its own moods; beside them the surplus must not be seen.
    assert storm["recent"]["p50_ms"] <= max(3 * calm["recent"]["p50_ms"], 3.0)
    assert storm["recent"]["p99_ms"] <= max(3 * calm["recent"]["p99_ms"], 20.0)
    for phone, rtp in calls:
        assert (await phone.bye()).status == 200
        await rtp.close()
    await house.settled(lambda: not house.node.services.media.links[0].sessions)
    again = await talking(house, 300)
    assert (await again[0].bye()).status == 200, "there is room again"
    await again[1].close()
    assert await house.node.services.recorder.drain(10)
    rows = await house.fetch("select hangup_cause, count(*) from call where answered_at is null group by 1")
    assert [(row["hangup_cause"], row["count"]) for row in rows] == [("SWITCH_CONGESTION", len(refused))]

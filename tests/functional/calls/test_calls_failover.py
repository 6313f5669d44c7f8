"""Several carriers for one number: the next one is called when the first is dead, and only then."""

from __future__ import annotations

from typing import Any

import pytest
from call_house import AUTHOR, House

from sivo.calls import hunting
from support.raw_phone import Message, RawPhone, sdp

NUMBER = "+442071234567"


class Carrier(RawPhone):
    """Answers OPTIONS with ``health`` and INVITE with ``status``; None: with nothing at all."""

    health: int | None = 200
    status: int | None = 200
    early = False

    def _as_callee(self, request: Message) -> None:
        if request.method == "OPTIONS" and self.health is not None:
            self.answer(request, self.health, "Options")
        elif request.method == "INVITE" and self.status is not None:
            if self.early:
                self.answer(request, 183, "Session Progress", sdp(self.host, 4000))
            self.answer(request, self.status, "Word", sdp(self.host, 4000) if self.status == 200 else "")
        elif request.method in ("BYE", "CANCEL"):
            self.answer(request, 200, "OK")

    @property
    def called(self) -> int:
        return len({m.headers["call-id"] for m in self.inbox if not m.status and m.method == "INVITE"})


async def carrier(house: House, name: str, priority: int, **more: Any) -> Carrier:
    made = await Carrier.open(name, "carrier.example", "", house.sip, "127.0.0.9")
    assert isinstance(made, Carrier)
    house.phones.append(made)
    rule = {"prefix": "+", "priority": priority}
    body = {"name": name, "host": "127.0.0.9", "port": made.port, "outbound": [rule], **more}
    house.ids[name] = await house.create("trunk", body)
    return made


async def call(house: House) -> tuple[RawPhone, Message, dict[str, Any]]:
    """A call from 100: its phone, the answer, and the row."""
    phone = await house.phone("100")
    answer = await phone.invite(NUMBER, 4000)
    query = "select * from call where sip_call_id = $1 and (state <> 'created' or finished)"
    return phone, answer, await house.until(query, phone.call_id)


async def tried(house: House, row: dict[str, Any]) -> list[tuple[str, str]]:
    rows = await house.fetch(
        "select outcome, reason from call_decision where call_id = $1 and phase = 'attempt' order by at, id", row["id"]
    )
    return [(one["outcome"], one["reason"]) for one in rows]


async def test_a_dead_carriers_call_goes_to_the_next_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunting, "SILENCE", 0.7)
    second = await carrier(house, "second", 20, caller_id="+34910000020")
    first = await carrier(house, "first", 5, caller_id="+34910000010")
    await house.settled(lambda: len(house.node.services.directory.current.trunks_of(house.tenant)) == 3)
    next_ = "next: trunk second"

    # Nothing is heard from the first: the second gets the call, with its own caller number and in the CDR.
    first.status = None
    phone, answer, row = await call(house)
    assert answer.status == 200 and (first.called, second.called) == (1, 1)
    assert "+34910000020@" in (await second.wait("INVITE")).headers["from"]
    assert await tried(house, row) == [("no_answer", f"trunk first: no answer; {next_}")]
    await house.until("select 1 from call where id = $1 and trunk_id = $2", row["id"], house.ids["second"])
    assert (await phone.bye()).status == 200
    await second.wait("BYE")

    # It says that it cannot.
    first.status = 503
    phone, answer, row = await call(house)
    assert answer.status == 200 and (first.called, second.called) == (2, 2)
    assert await tried(house, row) == [("503", f"trunk first: answered 503; {next_}")]
    assert (await phone.bye()).status == 200

    # What the called person says is no fault of the carrier, and after it was heard nobody else is called.
    first.status = 486
    assert (await call(house))[1].status == 486
    first.status, first.early = 503, True
    assert (await call(house))[1].status == 503
    assert (first.called, second.called) == (4, 2)

    # One that is down by OPTIONS is not tried while another lives.
    first.status, first.early = 200, False
    watch = house.node._trunks
    watch._watched[house.ids["first"]].health = "down"
    phone, answer, row = await call(house)
    assert answer.status == 200 and (first.called, second.called) == (4, 3)
    assert (await phone.bye()).status == 200
    watch._watched[house.ids["first"]].health = "up"

    # The operator's fuse for this tenant.
    await house.resources.create(house.tenant, "carrier_limits", {"calls_at_a_time": 0}, author=AUTHOR)
    known = house.node.services.directory
    await house.settled(lambda: known.current.pictures[house.tenant].carrier_limits.at_a_time == 0)
    phone = await house.phone("100")
    assert (await phone.invite(NUMBER, 4000)).status == 503
    blown = await house.until("select * from call where sip_call_id = $1 and finished", phone.call_id)
    assert blown["hangup_cause"] == "outbound_fuse"

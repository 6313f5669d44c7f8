"""Ring groups and schedule gates with phones: who rings, who is cancelled and why, and who gets what nobody answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from call_house import AUTHOR, PASSWORD, House

from sivo.base.errors import SivoError
from sivo.config.change import Update
from support.raw_phone import RawPhone, sdp

ALWAYS = {day: {"open": "00:00", "close": "24:00"} for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
_callers = iter(range(200, 300))


async def phone(house: House, number: str) -> RawPhone:
    made = await house.phone(number)
    made.auto_answer, made.rtp_port = 180, 4000
    assert (await made.register()).status == 200
    return made


async def outside(house: House) -> RawPhone:
    made = await RawPhone.open(f"+34600000{next(_callers)}", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(made)
    return made


async def ring(house: House, number: str) -> RawPhone:
    """A caller from outside; the answer is waited for by whoever asks."""
    caller = await outside(house)
    caller._invite = caller.request("INVITE", f"sip:{number}@{house.domain}", sdp(caller.host, 4002))
    caller.send(caller._invite)
    return caller


async def route(house: House, caller: RawPhone, phase: str = "setup", count: int = 1) -> list[dict[str, Any]]:
    """Decisions about the route, once ``count`` of them are written down."""
    query = (
        "select d.* from call_decision d join call c on c.id = d.call_id"
        " where c.from_number = $1 and d.kind = 'route' and d.phase = $2 order by d.at, d.id"
    )
    await house.until(f"{query} offset {count - 1}", caller.user, phase)
    return await house.fetch(query, caller.user, phase)


async def provision(house: House) -> dict[str, UUID]:
    ids = house.ids
    ids["102"] = await house.create("extension", {"number": "102", "sip_password": PASSWORD})
    ids["always"] = await house.create("schedule", {"name": "Always", "hours": ALWAYS})
    ids["never"] = await house.create("schedule", {"name": "Never"})
    agent = {"kind": "ai_agent", "id": str(ids["agent"])}
    both = [str(ids["101"]), str(ids["102"])]
    ids["all"] = await house.create("ring_group", {"name": "All", "extensions": both})
    ids["order"] = await house.create(
        "ring_group",
        {"name": "Order", "extensions": both, "strategy": "in_order", "ring_seconds": 3, "no_answer": agent},
    )
    trunk = str(ids["trunk"])
    gates = {"+34910000011": ("always", "all"), "+34910000012": ("never", "all"), "+34910000013": ("always", "order")}
    for number, (schedule, group) in gates.items():
        open_ = {"kind": "ring_group", "id": str(ids[group])}
        target = {"kind": "schedule", "id": str(ids[schedule]), "open": open_, "out_of_hours": agent}
        ids[number] = await house.create("did", {"number": number, "trunk": trunk, "target": target})
    known = house.node.services.directory
    await house.settled(lambda: known.current.did_of_tenant(house.tenant, ["+34910000013"]) is not None)
    return ids


async def test_two_phones_ring_and_what_nobody_answers_goes_on(house: House) -> None:
    ids = await provision(house)
    one, two = await phone(house, "101"), await phone(house, "102")
    await both_ring_and_the_second_answers(house, one, two)
    for each in (one, two):
        each.inbox.clear()
    await out_of_hours_the_agent_answers(house, one, two)
    await in_turn_and_then_the_agent(house, one, two)
    await circles_and_used_resources_are_refused(house, ids)


async def answered(caller: RawPhone) -> None:
    """The call that ``caller`` made is up."""
    answer = await caller.wait((200, "INVITE"))
    caller.to_tag, caller.remote_target = answer.headers["to"].split("tag=")[1], answer.headers["contact"].strip("<>")
    caller.ack(answer, caller.remote_target)


async def both_ring_and_the_second_answers(house: House, one: RawPhone, two: RawPhone) -> None:
    """Within hours both ring at once; who does not answer is told that somebody else did."""
    caller = await ring(house, "+34910000011")
    invite = await one.wait("INVITE")
    await two.wait("INVITE")
    await caller.wait(180)
    two.answer(await two.wait("INVITE"), 200, "OK", sdp(two.host, 4004))
    assert (await one.wait("CANCEL")).headers["reason"] == ELSEWHERE
    assert invite.headers["from"].startswith(f"<sip:{caller.user}@")
    await answered(caller)
    await two.wait("ACK")
    (made,) = await route(house, caller)
    assert (made["outcome"], made["rule"]) == ("ring_group", "trunk.did+schedule.weekly")
    assert made["details"]["schedules"][0]["name"] == "Always" and made["details"]["at"]
    call = await house.until("select * from call where from_number = $1 and state = 'answered'", caller.user)
    assert call["extension_id"] == house.ids["102"]
    running = house.node.exchange.by_id(str(call["id"]))
    assert running is not None and running.callee_extension is not None and running.callee_extension.number == "102"
    assert (await caller.bye()).status == 200
    await two.wait("BYE")


async def out_of_hours_the_agent_answers(house: House, one: RawPhone, two: RawPhone) -> None:
    """And nobody rings."""
    caller = await outside(house)
    assert (await caller.invite("+34910000012", 4002, auth=False)).status == 200
    call = await house.until("select * from call where from_number = $1", caller.user)
    assert call["agent_id"] == house.ids["agent"]
    assert [row["rule"] for row in await route(house, caller)] == ["trunk.did+schedule.weekly"]
    assert not [m for m in (*one.inbox, *two.inbox) if m.method == "INVITE"]
    assert (await caller.bye()).status == 200


async def in_turn_and_then_the_agent(house: House, one: RawPhone, two: RawPhone) -> None:
    """The first is given up after its time, the second refuses, and the agent takes over."""
    caller = await ring(house, "+34910000013")
    await one.wait("INVITE")
    assert not [m for m in two.inbox if m.method == "INVITE"]
    await one.wait("CANCEL", timeout=8)
    two.answer(await two.wait("INVITE"), 486, "Busy Here")
    await answered(caller)
    call = await house.until("select * from call where from_number = $1 and agent_id is not null", caller.user)
    assert (call["agent_id"], call["state"]) == (house.ids["agent"], "answered")
    tried = await route(house, caller, "attempt", 3)
    assert [(row["outcome"], row["rule"]) for row in tried] == [
        ("no_answer", "ring_group.next"),
        ("486", "ring_group.next"),
        ("ai_agent", "ring_group.no_answer"),
    ]
    assert tried[0]["reason"] == "extension 101: no answer; next: extension 102"
    pinned = await house.fetch("select snapshot_hash from call where id = $1", call["id"])
    picture = house.node.services.directory.current.pictures[house.tenant]
    did = next(one for one in picture.dids if one.number == "+34910000013")
    assert pinned[0]["snapshot_hash"] == picture.snapshot(did, picture.agents[0]).hash
    assert (await caller.bye()).status == 200
    await house.until("select 1 from call where id = $1 and finished", call["id"])


async def circles_and_used_resources_are_refused(house: House, ids: dict[str, UUID]) -> None:
    """When they are changed."""
    circle = {"no_answer": {"kind": "ring_group", "id": str(ids["order"])}}
    back = {"kind": "schedule", "id": str(ids["never"]), "open": {"kind": "ring_group", "id": str(ids["all"])}}
    await house.resources.update(house.tenant, "ring_group", ids["all"], circle, author=AUTHOR)
    with pytest.raises(SivoError, match="come back to"):
        await house.resources.apply(house.tenant, AUTHOR, "", [Update("ring_group", ids["order"], {"no_answer": back})])
    for kind, used in (("schedule", "never"), ("extension", "102"), ("ring_group", "all")):
        with pytest.raises(SivoError, match="is used by"):
            await house.resources.delete(house.tenant, kind, ids[used], author=AUTHOR)

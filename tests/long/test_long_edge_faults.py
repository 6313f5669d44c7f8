"""What is behind the edge, and the edge itself, ends without notice: nobody's next call is lost with it."""

from __future__ import annotations

import asyncio
import time

import pytest

from support.company import Company
from support.edge_world import CARRIER, DID, EdgeWorld, Talker, callee_of, sign_off
from support.kills import kill_with_children
from support.rtp_phone import level_db

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("edge")]
LOUD = -30.0
#: An INVITE that nobody answers for 3 s goes to the other node; three times that for a busy machine.
NEXT_NODE_S = 9.0


async def ring(made: EdgeWorld, acme: Company, at: int) -> tuple[Talker, Talker]:
    """A call from the carrier to a phone of extension 103 of its own, with sound both ways."""
    callee = await callee_of(made, acme, "103", 800)
    caller = await made.talker(await made.phone(f"+3460022230{at}", "carrier.example.com", host=CARRIER), 600)
    ok = await caller.sip.invite(DID, caller.rtp.port, auth=False, insist=True)
    assert ok.status == 200, (ok.first_line, made.edge_log())
    caller.talk(ok)
    callee.talk(await callee.sip.wait("INVITE"))
    await sign_off(callee)
    return caller, callee


def at_node(made: EdgeWorld, node: int, caller: Talker) -> bool:
    """Whether the call is that node's."""
    return f"@127.0.0.1:{made.nodes[node].ports.sip}" in caller.sip.remote_target


async def until(made: EdgeWorld, node: int, state: str) -> None:
    """Wait for what the dispatcher thinks of a node."""
    async with asyncio.timeout(30):
        while not (await made.states())[node].startswith(state):
            await asyncio.sleep(0.2)


async def test_calls_go_to_the_other_node_when_one_is_killed(world: tuple[EdgeWorld, Company, Company]) -> None:
    made, acme, _ = world
    assert (await made.render()).returncode == 0
    await made.open_edge()
    calls = [await ring(made, acme, at) for at in range(4)]
    lost = [call for call in calls if at_node(made, 1, call[0])]
    assert 1 <= len(lost) <= 3, "calls are spread over both"

    kill_with_children(made.nodes[1].pid)
    for at in range(4, 7):
        begun = time.monotonic()
        calls.append(await ring(made, acme, at))
        assert time.monotonic() - begun < NEXT_NODE_S and at_node(made, 0, calls[-1][0])
    await until(made, 1, "I")
    await asyncio.sleep(1.5)
    for caller, callee in calls:
        if (caller, callee) not in lost:
            assert level_db(caller.heard_last(1.0), 800) > LOUD and level_db(callee.heard_last(1.0), 600) > LOUD

    # The node comes back: who talked through it is told, through the edge, and it gets calls again.
    await made.nodes[1].stop()
    await made.nodes[1].start(patience=150.0, fresh=False)
    for one in (phone for call in lost for phone in call):
        assert (await one.sip.wait("BYE", 15.0)).status == 0
    for caller, _ in lost:
        assert (await acme.ended(caller.sip.user))["hangup_cause"] == "node_failure"
    await until(made, 1, "A")
    calls += [await ring(made, acme, at) for at in (7, 8)]
    assert any(at_node(made, 1, caller) for caller, _ in calls[-2:])
    for caller, callee in calls:
        if (caller, callee) not in lost:
            assert (await caller.sip.bye()).status == 200


async def test_a_restart_of_the_proxy_is_not_heard(world: tuple[EdgeWorld, Company, Company]) -> None:
    """Calls talk on, their BYE finds its way, and phones need not register again."""
    made, acme, _ = world
    quiet = await callee_of(made, acme, "101", 800)
    caller, callee = await ring(made, acme, 9)
    await made.restart_proxy()
    await asyncio.sleep(1.5)
    assert level_db(caller.heard_last(1.0), 800) > LOUD and level_db(callee.heard_last(1.0), 600) > LOUD
    assert (await caller.sip.bye()).status == 200
    await callee.sip.wait("BYE")

    other = await made.talker(await made.phone("102", acme.domain, acme.passwords["102"]), 600)
    ok = await other.sip.invite("101", other.rtp.port)
    assert ok.status == 200, (ok.first_line, made.edge_log())
    await quiet.sip.wait("INVITE")
    assert (await other.sip.bye()).status == 200


async def test_without_rtpengine_calls_are_refused_and_not_mute(world: tuple[EdgeWorld, Company, Company]) -> None:
    made, acme, _ = world
    await callee_of(made, acme, "103", 800)
    async with made.without_relay():
        caller = await made.talker(await made.phone("+34600222310", "carrier.example.com", host=CARRIER), 600)
        refused = await caller.sip.invite(DID, caller.rtp.port, auth=False, insist=True)
        assert 500 <= refused.status < 600, refused.first_line
    await asyncio.sleep(6.0)  # until Kamailio asks it again
    caller, callee = await ring(made, acme, 11)
    await asyncio.sleep(1.5)
    assert level_db(caller.heard_last(1.0), 800) > LOUD and level_db(callee.heard_last(1.0), 600) > LOUD
    assert (await caller.sip.bye()).status == 200

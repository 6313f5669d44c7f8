"""Processes die under running calls; nothing is lost and nobody is left in a dead line."""

from __future__ import annotations

import asyncio
import signal
import time

from call_house import DID, House

from sivo.calls.node import CallNode
from support.raw_phone import RawPhone, sdp
from support.rtp_phone import RtpPhone


async def test_media_is_killed_and_the_caller_gets_a_bye_at_once(house: House) -> None:
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.5)
    rtp.press("1")
    await house.until("select 1 from turn")
    house.stop_media(0, signal.SIGKILL)
    killed = time.monotonic()
    bye = await phone.wait("BYE")
    assert time.monotonic() - killed < 3 * 1.0
    assert 'text="node_failure"' in bye.headers["reason"]
    call = await house.until("select * from call where finished")
    assert (call["hangup_cause"], call["hangup_class"], call["exit_reason"]) == (
        "node_failure",
        "server",
        "node_failure",
    )
    recording = await house.until("select * from recording")
    assert recording["journal_path"] == call["journal_path"]
    assert len(await house.fetch("select 1 from turn")) == 1
    assert len(await house.fetch("select 1 from segment")) == 2
    house.start_media(0)
    again = await house.phone("101")
    async with asyncio.timeout(10):
        while (await again.invite(DID, 4000)).status != 200:
            await asyncio.sleep(0.1)
            again = await house.phone("101")
    assert (await again.bye()).status == 200
    await rtp.close()


async def test_without_a_media_process_calls_get_503_and_retry_after(house: House) -> None:
    house.stop_media(0, signal.SIGKILL)
    await house.settled(lambda: not house.node.services.media.links[0].ready)
    phone = await house.phone("100")
    answer = await phone.invite(DID, 4000)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    call = await house.until("select * from call where finished")
    assert (call["hangup_cause"], call["hangup_detail"][:10]) == ("SWITCH_CONGESTION", "MEDIA_BUSY")


async def test_facts_that_nobody_committed_come_from_the_journal(house: House) -> None:
    """Media and call die together with facts that never reached the database; the next start brings them home."""
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await house.until("select 1 from call where state = 'answered'")
    services = house.node.services
    house.node_killed = True
    await services.recorder.drain(5)
    await services.recorder.stop()  # from here on nothing reaches the database, as if this process were killed
    await asyncio.sleep(0.3)
    rtp.press("1")
    await asyncio.sleep(0.6)
    house.stop_media(0, signal.SIGKILL)
    await services.sip.close()
    assert await house.fetch("select 1 from turn") == []

    house.start_media(0)
    second = CallNode(house.settings, house.database, house.vault)
    await second.start()
    try:
        assert 'text="node_failure"' in (await phone.wait("BYE")).headers["reason"]
        call = await house.until("select * from call where finished")
        assert (call["state"], call["hangup_cause"]) == ("ended", "node_failure")
        assert len(await house.fetch("select 1 from turn")) == 1
        assert len(await house.fetch("select 1 from segment")) == 2
        assert len(await house.fetch("select 1 from recording")) == 1
        ended = await house.fetch("select exit_reason from call")
        assert ended[0]["exit_reason"] == "node_failure"
    finally:
        await second.stop()
    await rtp.close()


async def test_the_call_role_is_killed_and_says_bye_when_it_is_back(house: House) -> None:
    """Its media process lives on: the orphaned session is closed, and both phones of a bridged call get their BYE."""
    other = await house.phone("101")
    other.auto_answer, other.rtp_port = 200, 4002
    await other.register()
    phone = await house.phone("100")
    assert (await phone.invite("101", 4000)).status == 200
    await other.wait("ACK")
    elsewhere = await house.phone("100")
    assert (await elsewhere.invite(DID, 4004)).status == 200
    services = house.node.services
    assert await services.recorder.drain(5)
    await house.kill_node()
    await house.fetch(
        """update leg set dialog = dialog || '{"node": "another"}'
            where call_id = (select id from call where to_number = $1)""",
        DID,
    )

    second = CallNode(house.settings, house.database, house.vault)
    started = time.monotonic()
    await second.start()
    try:
        for one in (phone, other):
            assert 'text="node_failure"' in (await one.wait("BYE")).headers["reason"]
        assert time.monotonic() - started < 3 * 5.0
        call = await house.until("select * from call where finished")
        assert (call["state"], call["hangup_cause"]) == ("ended", "node_failure")
        await house.settled(lambda: second.services.media.links[0].hello is not None)
        ladder = await house.fetch("select summary from sip_message where direction = 'out' and summary like 'BYE%'")
        assert len(ladder) == 2
        assert [one.method for one in elsewhere.inbox if not one.status] == [], "a call of another node is left alone"
        assert await house.fetch("select 1 from call where to_number = $1 and not finished", DID)
        again = await house.phone("100")
        assert (await again.invite("101", 4000)).status == 200, "the registration of 101 did not survive"
        assert (await again.bye()).status == 200
    finally:
        await second.stop()


async def test_a_call_that_rang_when_the_call_role_was_killed_ends_at_every_phone(house: House) -> None:
    """Two phones ring: one takes the CANCEL, the other is answered at that very moment; the caller is refused."""
    ringing, late = await house.phone("101"), await house.phone("101")
    for one in (ringing, late):
        one.auto_answer = 180
        await one.register()
    phone = await house.phone("100")
    answer = asyncio.create_task(phone.invite("101", 4000))
    invite = await late.wait("INVITE")
    await phone.wait(180)
    assert await house.node.services.recorder.drain(5)
    await house.kill_node()
    late.auto_answer = None
    late._as_callee = lambda request: None  # type: ignore[method-assign, assignment]

    second = CallNode(house.settings, house.database, house.vault)
    await second.start()
    try:
        cancel = await late.wait("CANCEL")
        late.answer(cancel, 200, "OK")
        late.answer(invite, 200, "OK", sdp(late.host, 4002))
        assert (await late.wait("ACK")).headers["cseq"].split()[0] == invite.headers["cseq"].split()[0]
        bye = await late.wait("BYE")
        late.answer(bye, 200, "OK")
        assert 'text="node_failure"' in bye.headers["reason"]
        assert 'text="node_failure"' in (await ringing.wait("CANCEL")).headers["reason"]
        assert (await ringing.wait("ACK")).headers["cseq"].endswith("ACK"), "the 487 is acknowledged"
        refused = await answer
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert 'text="node_failure"' in refused.headers["reason"]
        call = await house.until("select * from call where finished")
        assert (call["state"], call["hangup_cause"], call["answered_at"]) == ("ended", "node_failure", None)
        await asyncio.sleep(0.1)
        assert [one.method for one in ringing.inbox if not one.status] == ["INVITE", "CANCEL", "ACK"]
        assert [one.method for one in late.inbox if not one.status] == ["INVITE", "CANCEL", "ACK", "BYE"]
    finally:
        await second.stop()


async def test_a_call_whose_row_was_not_written_yet_is_known_from_its_journal(house: House) -> None:
    """Killed between the 200 and the commit: nothing is in the database, all of it is in the journal."""
    services = house.node.services
    await services.recorder.drain(5)
    await services.recorder.stop()  # from here on nothing reaches the database
    phone = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(phone)
    assert (await phone.invite(DID, 4000, auth=False)).status == 200
    await asyncio.sleep(0.3)
    await house.kill_node()
    assert await house.fetch("select 1 from call") == []

    second = CallNode(house.settings, house.database, house.vault)
    await second.start()
    try:
        assert 'text="node_failure"' in (await phone.wait("BYE")).headers["reason"]
        call = await house.until("select * from call where finished")
        assert (call["from_number"], call["to_number"], call["did_id"]) == ("+34600111222", DID, house.ids["did"])
        assert (call["hangup_cause"], call["trunk_id"]) == ("node_failure", house.ids["trunk"])
        assert call["answered_at"] is not None and call["exit_reason"] == "node_failure"
        assert len(await house.fetch("select 1 from recording")) == 1
        async with house.database.platform("test: outbox") as conn:
            types = [row["type"] for row in await conn.fetch("select type from outbox")]
        assert sorted(types) == sorted(set(types)) and {"call.created", "call.answered", "call.ended"} <= set(types)
    finally:
        await second.stop()


async def test_stopping_the_node_hangs_up_and_writes_everything(house: House) -> None:
    phone = await house.phone("100")
    assert (await phone.invite(DID, 4000)).status == 200
    await asyncio.sleep(0.3)
    await house.node.stop()
    assert 'text="shutdown"' in (await phone.wait("BYE")).headers["reason"]
    call = (await house.fetch("select * from call"))[0]
    assert (call["finished"], call["hangup_cause"], call["hangup_class"]) == (True, "shutdown", "operator")
    assert call["exit_reason"] == "shutdown"


async def test_a_recording_switch_turned_off_acts_on_the_running_call(house: House) -> None:
    phone = await house.phone("100")
    assert (await phone.invite(DID, 4000)).status == 200
    await house.resources.update(
        house.tenant, "recording_policy", house.ids["recording"], {"active": False}, author=house.author, reason="off"
    )
    row = await house.until("select * from call_decision where kind = 'recording' and phase = 'changed'")
    assert row["outcome"] == "refuse"
    await house.until("select * from call_fact where kind = 'capture_changed' and not (body->>'recording')::boolean")
    assert (await phone.bye()).status == 200

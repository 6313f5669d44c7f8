"""A real media process, driven over its socket as ``call`` does, with real RTP on the other side."""

from __future__ import annotations

import asyncio
import audioop
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from media_harness import KEY, Call, Media, RefusedError, add_leg, agent, open_session

from sivo.media import journal
from sivo.media import protocol as wire
from support.rtp_phone import RtpPhone, level_db, tone

PORTS = (33500, 33799)


@pytest.fixture
async def media(tmp_path: Path) -> AsyncIterator[Media]:
    process = Media(tmp_path, PORTS, call_cap=3)
    yield process
    process.kill()


def channels(path: str) -> tuple[bytes, bytes]:
    """Both channels of a journal as PCM16."""
    frames = list(journal.read(Path(path), KEY).frames())
    caller = audioop.ulaw2lin(b"".join(frame.caller for frame in frames), 2)
    return caller, audioop.ulaw2lin(b"".join(frame.agent for frame in frames), 2)


async def phone_with(frequency: float, seconds: float, payload_type: int = 0) -> RtpPhone:
    phone = await RtpPhone.open(payload_type=payload_type)
    phone.play(tone(frequency, seconds))
    return phone


async def test_person_to_person_channels_hold_only_their_own_tone(media: Media) -> None:
    call = await media.start()
    a, b = await phone_with(400, 3.0), await phone_with(1000, 3.0, payload_type=8)
    path = await open_session(call, "p2p")
    a.call("127.0.0.1", await add_leg(call, "p2p", "a", 0, a.port))
    b.call("127.0.0.1", await add_leg(call, "p2p", "b", 1, b.port, payload_type=8))
    await call.send(wire.Bridge, session="p2p", a="a", b="b")
    await call.send(wire.StartCapture, session="p2p", record=True)
    a.start()
    b.start()
    await asyncio.sleep(2.5)
    closed = await call.send(wire.CloseSession, session="p2p", reason="normal")
    caller, other = channels(path)
    assert level_db(caller, 400) - level_db(caller, 1000) >= 40
    assert level_db(other, 1000) - level_db(other, 400) >= 40
    assert level_db(a.heard(), 1000) - level_db(a.heard(), 400) >= 40, "a hears b and not itself"
    assert level_db(b.heard(), 400) - level_db(b.heard(), 1000) >= 40, "b hears a, in PCMA"
    assert {packet.payload_type for packet in b.received} == {8}
    assert closed["journal_failed"] is False
    assert closed["frames"] * 20 == closed["recorded_ms"] == closed["duration_ms"]
    assert 2300 <= closed["duration_ms"] <= 4000
    assert closed["legs"]["a"]["packets_received"] > 100
    assert closed["legs"]["a"]["strangers"] == 0
    await asyncio.gather(a.close(), b.close())


async def test_ai_call_channels_hold_only_their_own_tone(media: Media) -> None:
    call = await media.start()
    phone = await phone_with(400, 4.0)
    path = await open_session(call, "ai")
    phone.call("127.0.0.1", await add_leg(call, "ai", "a", 0, phone.port))
    await call.send(wire.StartConversation, session="ai", leg="a", spec=agent(1500))
    await asyncio.sleep(0.2)
    assert phone.received == [], "the agent speaks only from the answer on"
    phone.start()
    await call.send(wire.StartCapture, session="ai", record=True)
    said = await call.fact(wire.Segment)
    assert said.text == "1500 ms"
    phone.press("7")
    digit = await call.fact(wire.Digit)
    phone.press("#")
    ended = await call.fact(wire.ConversationEnded)
    assert (digit.digit, ended.reason) == ("7", "agent_hangup")
    await call.send(wire.CloseSession, session="ai", reason="normal")
    caller, spoken = channels(path)
    assert level_db(caller, 400) - level_db(caller, 1000) >= 40
    assert level_db(spoken, 1000) - level_db(spoken, 400) >= 40
    assert level_db(phone.heard(), 1000) > -30
    kept = journal.read(Path(path), KEY)
    assert kept.closed and kept.end is not None and kept.end.reason == "normal"
    assert [fact.seq for fact in kept.facts] == list(range(1, len(kept.facts) + 1))
    assert [fact.seq for fact in call.facts] == [fact.seq for fact in kept.facts]
    assert any(note.kind == "interim" for note in call.notes)
    await phone.close()


async def test_third_source_after_latching_is_neither_heard_nor_answered(media: Media) -> None:
    call = await media.start()
    phone, stranger = await phone_with(400, 3.0), await phone_with(1500, 3.0)
    far = await RtpPhone.open(host="127.0.0.9")
    far.play(tone(2000, 3.0))
    path = await open_session(call, "latch")
    port = await add_leg(call, "latch", "a", 0, 9)  # its SDP names a port that it does not send from
    await call.send(wire.StartCapture, session="latch", record=True)
    far.call("127.0.0.1", port)
    far.start()  # another host, first: not the negotiated one
    await asyncio.sleep(0.2)
    phone.call("127.0.0.1", port)
    phone.start()
    await asyncio.sleep(0.3)
    stranger.call("127.0.0.1", port)
    stranger.start()
    await asyncio.sleep(1.5)
    stats = await call.send(wire.RemoveLeg, session="latch", leg="a")
    await call.send(wire.CloseSession, session="latch", reason="normal")
    caller, _ = channels(path)
    assert level_db(caller, 400) > -25
    assert level_db(caller, 1500) < level_db(caller, 400) - 40
    assert level_db(caller, 2000) < level_db(caller, 400) - 40
    assert len(phone.received) > 50, "we answer the port that it really uses"
    assert stranger.received == [] and far.received == []
    assert stats["strangers"] > 50
    await asyncio.gather(phone.close(), stranger.close(), far.close())


async def test_a_process_that_was_held_up_lost_nothing_that_was_said(media: Media) -> None:
    call = await media.start()
    a, b = await phone_with(400, 4.0), await phone_with(1000, 4.0)
    path = await open_session(call, "held")
    a.call("127.0.0.1", await add_leg(call, "held", "a", 0, a.port))
    b.call("127.0.0.1", await add_leg(call, "held", "b", 1, b.port))
    await call.send(wire.Bridge, session="held", a="a", b="b")
    a.start()
    b.start()
    await asyncio.sleep(0.5)
    await call.send(wire.StartCapture, session="held", record=True)
    assert media.process is not None
    for held_s in (0.15, 0.6):
        await asyncio.sleep(0.5)
        media.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(held_s)
        media.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.5)
    closed = await call.send(wire.CloseSession, session="held", reason="normal")
    for channel, hertz in zip(channels(path), (400, 1000), strict=True):
        blocks = [level_db(channel[at : at + 3200], hertz) for at in range(0, len(channel) - 3200, 3200)]
        assert min(blocks) > -20, f"{hertz} Hz in every 200 ms: {blocks}"
    assert closed["frames"] * 20 == closed["duration_ms"] >= 2200
    legs = closed["legs"].values()
    assert [(leg["late"], leg["skipped"]) for leg in legs] == [(0, 0), (0, 0)]
    await asyncio.gather(a.close(), b.close())


async def test_kill_mid_call_leaves_a_readable_journal(media: Media) -> None:
    call = await media.start()
    phone = await phone_with(400, 5.0)
    path = await open_session(call, "killed")
    phone.call("127.0.0.1", await add_leg(call, "killed", "a", 0, phone.port))
    await call.send(wire.StartConversation, session="killed", leg="a", spec=agent(800))
    phone.start()
    await call.send(wire.StartCapture, session="killed", record=True)
    await call.fact(wire.Segment)
    await asyncio.sleep(0.77)
    heard_ms = 20 * len(phone.received)
    media.kill()
    found = journal.read(Path(path), KEY)
    assert not found.closed
    assert heard_ms - found.frame_count * 20 <= 500
    assert [fact.seq for fact in found.facts][: len(call.facts)] == [fact.seq for fact in call.facts]
    assert any(isinstance(fact.body, wire.Segment) for fact in found.facts)
    assert found.header.key_sealed == b"sealed"
    caller, spoken = channels(path)
    assert level_db(caller, 400) > -25
    assert level_db(spoken, 1000) > -25
    await phone.close()


async def test_new_call_process_gets_unacknowledged_facts_again(media: Media) -> None:
    call = await media.start()
    phone = await RtpPhone.open()
    await open_session(call, "again", record=False)
    phone.call("127.0.0.1", await add_leg(call, "again", "a", 0, phone.port))
    await call.send(wire.StartCapture, session="again", record=True)
    phone.start()
    for digit in "123":
        phone.press(digit)
    await call.fact(wire.Digit, 3)
    call.ack("again", 2)
    await call.send(wire.StopCapture, session="again")
    call.close()
    second = await media.connect()
    assert (await second.hello).sessions == ["again"]
    await second.fact(wire.Digit, 2)
    await second.fact(wire.CaptureChanged)
    again = [fact.seq for fact in second.facts]  # a busy machine adds a SlowCallback
    assert again == list(range(3, 3 + len(again))) and len(again) - len(second.bodies(wire.SlowCallback)) == 3
    assert [body.digit for body in second.bodies(wire.Digit)] == ["2", "3"]
    await second.send(wire.CloseSession, session="again", reason="normal")
    await phone.close()


async def test_cap_drain_and_refusals(media: Media) -> None:
    call = await media.start()
    for name in ("c1", "c2", "c3"):
        await open_session(call, name)
    with pytest.raises(RefusedError, match="MEDIA_FULL"):
        await open_session(call, "c4")
    await call.send(wire.CloseSession, session="c3", reason="normal")
    with pytest.raises(RefusedError, match="ALREADY_EXISTS"):
        await open_session(call, "c3")
    with pytest.raises(RefusedError, match="VALIDATION_FAILED"):
        await open_session(call, "../escape")
    with pytest.raises(RefusedError, match="NOT_FOUND"):
        await call.send(wire.StopCapture, session="nobody")
    with pytest.raises(RefusedError, match="VALIDATION_FAILED"):
        await add_leg(call, "c1", "a", 0, 4000, host="phone.example")
    await call.send(wire.Drain)
    with pytest.raises(RefusedError, match="MEDIA_FULL"):
        await open_session(call, "c5")


async def test_broken_conversation_does_not_hurt_its_neighbour(media: Media) -> None:
    call = await media.start()
    phones = [await RtpPhone.open(), await RtpPhone.open()]
    for name, phone in zip(("n1", "n2"), phones, strict=True):
        await open_session(call, name)
        phone.call("127.0.0.1", await add_leg(call, name, "a", 0, phone.port))
        await call.send(wire.StartConversation, session=name, leg="a", spec=agent(3000))
        await call.send(wire.StartCapture, session=name, record=False)
        phone.start()
    phones[0].press("5")  # holds the loop for 50 ms
    slow = await call.fact(wire.SlowCallback)
    assert slow.held_ms > 10
    phones[0].press("*")  # raises inside the tick
    ended = await call.fact(wire.ConversationEnded)
    assert ended.reason == "provider_failure"
    before = len(phones[1].received)
    await asyncio.sleep(0.5)
    assert len(phones[1].received) - before >= 15
    await asyncio.gather(*(phone.close() for phone in phones))


async def test_clean_stop_ends_sessions_with_their_journals(media: Media) -> None:
    call = await media.start()
    phone = await RtpPhone.open()
    path = await open_session(call, "stopped")
    phone.call("127.0.0.1", await add_leg(call, "stopped", "a", 0, phone.port))
    await call.send(wire.StartConversation, session="stopped", leg="a", spec=agent(5000))
    await call.send(wire.StartCapture, session="stopped", record=True)
    await asyncio.sleep(0.3)
    assert await media.terminate() == 0
    found = journal.read(Path(path), KEY)
    assert found.closed and found.end is not None and found.end.reason == "shutdown"
    endings = [fact.body for fact in found.facts if isinstance(fact.body, wire.ConversationEnded)]
    assert [ending.reason for ending in endings] == ["shutdown"]
    assert not media.settings.media_socket(0).exists()
    await phone.close()


async def test_digits_are_sent_and_relayed_once(media: Media) -> None:
    call: Call = await media.start()
    a, b = await RtpPhone.open(), await RtpPhone.open()
    await open_session(call, "dtmf")
    a.call("127.0.0.1", await add_leg(call, "dtmf", "a", 0, a.port))
    b.call("127.0.0.1", await add_leg(call, "dtmf", "b", 1, b.port))
    await call.send(wire.Bridge, session="dtmf", a="a", b="b")
    await call.send(wire.StartCapture, session="dtmf", record=False)
    a.start()
    b.start()
    await call.send(wire.SendDigits, session="dtmf", leg="a", digits="1#")
    b.press("9", ends=0)
    fact = await call.fact(wire.Digit)
    assert (fact.leg, fact.digit) == ("b", "9")
    await asyncio.sleep(0.6)
    events = [packet for packet in a.received if packet.payload_type == 101]
    keys = {packet.timestamp: packet.payload[0] for packet in events}
    assert sorted(keys.values()) == [1, 9, 11], "1 and # from call, 9 relayed from b, each under one timestamp"
    for stamp in keys:
        assert sum(packet.payload[1] >> 7 for packet in events if packet.timestamp == stamp) == 3
    assert len(call.bodies(wire.Digit)) == 1
    await asyncio.gather(a.close(), b.close())

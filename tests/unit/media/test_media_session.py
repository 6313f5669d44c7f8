"""A session driven tick by tick on a virtual clock: two channels on one clock, holds, digits, facts, timeouts."""

from __future__ import annotations

import array
import audioop
import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from sivo.media import codec, rtp
from sivo.media.bridge import Bridge
from sivo.media.conversation import VadWindow
from sivo.media.journal import End
from sivo.media.journal_writer import JournalWriter
from sivo.media.latch import Address
from sivo.media.leg import Leg
from sivo.media.playout import Playout, SentFrame
from sivo.media.protocol import (
    ConversationEnded,
    Digit,
    Fact,
    FactBody,
    MediaTimeout,
    Note,
    Remote,
)
from sivo.media.session import Host, Session

TICK = 0.020


class MemoryWriter:
    """A journal that keeps everything in memory and answers at once."""

    def __init__(self) -> None:
        self.frames: dict[int, tuple[bytes | None, bytes | None]] = {}
        self.clocks: list[int] = []
        self.facts: list[FactBody] = []
        self.acked = 0
        self.end: End | None = None

    def frame(self, index: int, caller: bytes | None, agent: bytes | None) -> None:
        assert index not in self.frames
        self.frames[index] = (caller, agent)

    def clock(self, index: int) -> None:
        self.clocks.append(index)

    def fact(self, fact: Fact, written: Callable[[bool], None]) -> None:
        self.facts.append(fact.body)
        written(True)

    def acknowledge(self, seq: int) -> None:
        self.acked = seq

    def close(self, end: End, synced: Callable[[bool], None]) -> None:
        self.end = end
        synced(True)

    def channel(self, number: int) -> bytes:
        """One channel as PCM16, silence where nothing was kept."""
        out = bytearray()
        for index in range(max(self.frames) + 1):
            frame = self.frames.get(index, (None, None))[number]
            out += audioop.ulaw2lin(frame or codec.SILENCE_ULAW, 2)
        return bytes(out)


class Slot:
    closed = False

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        self.closed = True


class Listener:
    """A conversation that writes down what it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, SentFrame | None]] = []
        self.heard: list[tuple[int, bytes]] = []
        self.digits: list[str] = []
        self.stopped: str | None = None
        self.emit: Callable[[FactBody], None] = lambda body: None

    def on_sent(self, now_ms: int, sent: SentFrame | None) -> None:
        self.sent.append((now_ms, sent))

    def on_audio(self, now_ms: int, ulaw_frame: bytes, pcm16: bytes, voiced: list[VadWindow]) -> None:
        self.heard.append((now_ms, ulaw_frame))

    def on_digit(self, digit: str) -> None:
        self.digits.append(digit)

    def stop(self, reason: str) -> None:
        self.stopped = reason
        self.emit(ConversationEnded(reason=reason, turns=0, at_ms=0))

    async def wait_closed(self) -> None:
        """Nothing is open."""


class Desk:
    """A session, its time and its wire."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tick = 0
        self.writer = MemoryWriter()
        self.emitted: list[Fact | Note] = []
        self.wire: list[tuple[str, rtp.RtpPacket, Address]] = []
        self.keep_wire = True
        self.session = Session(
            "s",
            "t",
            "c",
            cast(JournalWriter, self.writer),
            now=lambda: self.now,
            wall_ms=lambda: int(self.now * 1000),
            emit=self.emitted.append,
        )

    def leg(self, name: str, channel: int, port: int, **remote: Any) -> Leg:
        leg = Leg(name, channel)
        leg.set_remote(Remote(**{"host": "10.0.0.1", "port": port, **remote}))
        self.session.legs[name] = leg
        return leg

    def host(self, leg: Leg) -> tuple[Playout, Listener]:
        playout, listener = Playout(), Listener()
        host = Host(leg, playout, Slot())
        host.conversation = listener
        listener.emit = self.session.fact
        self.session.host = host
        return playout, listener

    def start(self, record: bool = True) -> None:
        self.session.start_capture(record, self.tick, self.now)

    def run_tick(self) -> None:
        self.session.send(self.tick, self.now, self._send)
        if self.session.listen() is not None:
            self.session.converse([])
        self.session.rest(self.tick, self.now)
        self.tick += 1
        self.now += TICK

    def _send(self, leg: Leg, data: bytes, destination: Address) -> bool:
        if self.keep_wire:
            self.wire.append((leg.id, rtp.parse(data), destination))
        return True

    def facts(self, kind: type[Any]) -> list[Any]:
        return [body for body in self.writer.facts if isinstance(body, kind)]


class SkewedPhone:
    """Sends silence and, at given moments of true time, a loud frame; its clock is ``ppm`` fast."""

    def __init__(self, leg: Leg, port: int, ppm: float, marks: list[float], seed: int) -> None:
        self._leg = leg
        self._source = ("10.0.0.1", port)
        self._step = TICK / (1 + ppm / 1e6)
        self._marks = marks
        self._rng = random.Random(seed)
        self._number = 0
        self._next = 1000.0 + self._rng.uniform(0, TICK)

    def until(self, now: float) -> None:
        while self._next <= now:
            loud = any(self._next - self._step < mark <= self._next for mark in self._marks)
            payload = b"\x80" * 160 if loud else codec.SILENCE_ULAW
            data = rtp.build(0, self._number, 5_000 + self._number * 160, 9, payload)
            self._leg.datagram(data, self._source, self._next + self._rng.uniform(0, 0.004))
            self._number += 1
            self._next += self._step


def loud_places(pcm16: bytes) -> list[int]:
    """Milliseconds at which a loud frame begins."""
    samples = array.array("h", pcm16)
    places: list[int] = []
    for index in range(0, len(samples), 8):
        if abs(samples[index]) > 8000 and (not places or index // 8 - places[-1] > 500):
            places.append(index // 8)
    return places


@pytest.mark.parametrize("ppm", [(200, -200), (0, 0), (-200, -200)])
def test_channels_of_two_people_do_not_drift_in_ten_minutes(ppm: tuple[int, int]) -> None:
    desk = Desk()
    desk.keep_wire = False
    a, b = desk.leg("a", 0, 4000), desk.leg("b", 1, 4002)
    desk.session.bridge = Bridge(a, b)
    marks = [1000.0 + seconds for seconds in range(30, 600, 30)]
    phones = [SkewedPhone(a, 4000, ppm[0], marks, 1), SkewedPhone(b, 4002, ppm[1], marks, 2)]
    desk.start()
    for _ in range(30_000):
        for phone in phones:
            phone.until(desk.now)
        desk.run_tick()
    caller, other = desk.writer.channel(0), desk.writer.channel(1)
    assert len(caller) == len(other) == 30_000 * 320
    at_caller, at_other = loud_places(caller), loud_places(other)
    assert len(at_caller) == len(at_other) == len(marks)
    skews = [abs(x - y) for x, y in zip(at_caller, at_other, strict=True)]
    assert skews[-1] <= 20, "after ten minutes"
    assert max(skews) <= 40, "a moment before a buffer moves"
    for place, mark in zip(at_caller, marks, strict=True):
        assert 0 < place - (mark - 1000.0) * 1000 <= 90, "what was said stands where it was said"


def test_channels_of_an_ai_call_do_not_drift_in_ten_minutes() -> None:
    desk = Desk()
    desk.keep_wire = False
    leg = desk.leg("a", 0, 4000)
    playout, listener = desk.host(leg)
    marks = [1000.0 + seconds for seconds in range(30, 600, 30)]
    phone = SkewedPhone(leg, 4000, 200, marks, 3)
    desk.start()
    for _ in range(30_000):
        phone.until(desk.now)
        if any(desk.now <= mark < desk.now + TICK for mark in marks):
            number = int(desk.now)
            playout.append(1, number, audioop.ulaw2lin(b"\x80" * 160, 2))
            playout.end(1, number)
        desk.run_tick()
    at_caller, at_agent = loud_places(desk.writer.channel(0)), loud_places(desk.writer.channel(1))
    assert len(at_caller) == len(at_agent) == len(marks)
    delays = [x - y for x, y in zip(at_caller, at_agent, strict=True)]
    assert all(0 <= delay <= 80 for delay in delays), "only the jitter buffer stands between the two"
    assert len(listener.heard) == 30_000 and listener.heard[-1][0] == 600_000
    assert len([sent for _, sent in listener.sent if sent is not None]) == len(marks)


def test_agent_is_held_until_the_answer_and_while_the_peer_holds() -> None:
    desk = Desk()
    leg = desk.leg("a", 0, 4000)
    playout, listener = desk.host(leg)
    playout.append(1, 1, bytes(320 * 10))
    playout.end(1, 1)
    for _ in range(5):
        desk.run_tick()
    assert desk.wire == [] and listener.sent == [] and listener.heard == []
    desk.start()
    for _ in range(3):
        desk.run_tick()
    leg.set_remote(Remote(host="0.0.0.0", port=4000))
    for _ in range(4):
        desk.run_tick()
    leg.set_remote(Remote(host="10.0.0.1", port=4000))
    for _ in range(8):
        desk.run_tick()
    spoken = [sent for _, sent in listener.sent if sent is not None]
    assert [sent.offset_ms for sent in spoken] == list(range(0, 200, 20)), "nothing is lost in the hold"
    assert [now for now, _ in listener.sent] == [20 * n for n in range(1, 16)]
    assert len(desk.wire) == 11
    stamps = [packet.timestamp for _, packet, _ in desk.wire]
    assert (stamps[3] - stamps[2]) % 2**32 == 5 * 160, "RTP time runs on while nothing is sent"
    assert [packet.marker for _, packet, _ in desk.wire] == [True, False, False, True] + [False] * 7


def test_a_digit_is_one_fact_reaches_the_agent_and_the_other_leg() -> None:
    desk = Desk()
    a, b = desk.leg("a", 0, 4000), desk.leg("b", 1, 4002)
    _, listener = desk.host(a)
    desk.session.bridge = Bridge(a, b)
    desk.start()
    for n, payload in enumerate([b"\x05\x0a\x00\xa0", b"\x05\x0a\x01\x40", b"\x05\x8a\x01\x40", b"\x05\x8a\x01\x40"]):
        a.datagram(rtp.build(101, n, 777, 9, payload), ("10.0.0.1", 4000), desk.now)
        desk.run_tick()
    for _ in range(20):
        desk.run_tick()
    assert [(digit.digit, digit.duration_ms) for digit in desk.facts(Digit)] == [("5", 40)]
    assert listener.digits == ["5"]
    relayed = [packet for leg, packet, _ in desk.wire if leg == "b" and packet.payload_type == 101]
    assert {packet.payload[0] for packet in relayed} == {5}
    assert len({packet.timestamp for packet in relayed}) == 1


def test_agent_waits_while_digits_are_sent() -> None:
    desk = Desk()
    leg = desk.leg("a", 0, 4000)
    playout, listener = desk.host(leg)
    playout.append(1, 1, bytes(320 * 5))
    playout.end(1, 1)
    desk.start()
    leg.press("1")
    for _ in range(20):
        desk.run_tick()
    kinds = [packet.payload_type for _, packet, _ in desk.wire]
    assert kinds[:8] == [101] * 8
    assert [sent.offset_ms for _, sent in listener.sent if sent] == [0, 20, 40, 60, 80]


def test_silent_leg_is_told_once_and_again_after_it_came_back() -> None:
    desk = Desk()
    leg = desk.leg("a", 0, 4000)
    desk.start(record=False)
    for _ in range(1600):
        desk.run_tick()
    (told,) = desk.facts(MediaTimeout)
    assert told.leg == "a" and 30_000 <= told.silent_ms <= 30_020
    leg.datagram(rtp.build(0, 1, 1, 1, bytes(160)), ("10.0.0.1", 4000), desk.now)
    for _ in range(1600):
        desk.run_tick()
    assert len(desk.facts(MediaTimeout)) == 2
    leg.set_remote(Remote(host="10.0.0.1", port=4000, receive=False))
    for _ in range(3200):
        desk.run_tick()
    assert len(desk.facts(MediaTimeout)) == 2, "on hold nothing is expected"


def test_capture_can_stop_at_once_and_go_on() -> None:
    desk = Desk()
    desk.leg("a", 0, 4000)
    desk.start()
    for _ in range(10):
        desk.run_tick()
    desk.session.stop_capture()
    desk.session.stop_capture()
    for _ in range(10):
        desk.run_tick()
    desk.start()
    for _ in range(10):
        desk.run_tick()
    end = desk.session.end("normal", lambda _ok: None)
    assert sorted(desk.writer.frames) == [*range(10), *range(20, 30)]
    assert desk.writer.clocks == list(range(10, 20))
    assert (end.duration_ms, end.recorded_ms, end.frames) == (600, 400, 20)
    changes = [(body.recording, body.at_ms) for body in desk.writer.facts if hasattr(body, "recording")]
    assert changes == [(True, 0), (False, 200), (True, 400), (False, 600)]


def test_skipped_ticks_leave_a_gap_of_their_length() -> None:
    desk = Desk()
    desk.leg("a", 0, 4000)
    desk.start()
    desk.run_tick()
    desk.tick += 25
    desk.now += 25 * TICK
    desk.run_tick()
    assert sorted(desk.writer.frames) == [0, 26]
    stamps = [packet.timestamp for _, packet, _ in desk.wire]
    assert (stamps[1] - stamps[0]) % 2**32 == 26 * 160
    assert desk.session.capture.now_ms == 27 * 20


def test_facts_are_numbered_and_kept_until_acknowledged() -> None:
    desk = Desk()
    for digit in "1234":
        desk.session.fact(Digit(leg="a", digit=digit, duration_ms=1, at_ms=0))
    desk.session.acknowledge(2)
    assert [fact.seq for fact in desk.session.unacknowledged] == [3, 4]
    assert desk.writer.acked == 2
    desk.session.acknowledge(1)
    assert desk.writer.acked == 2
    desk.session.end("normal", lambda _ok: None)
    desk.session.fact(Digit(leg="a", digit="9", duration_ms=1, at_ms=0))
    assert len(desk.writer.facts) == 4


def test_conversation_that_breaks_while_stopping_still_has_an_end() -> None:
    desk = Desk()
    leg = desk.leg("a", 0, 4000)
    _, listener = desk.host(leg)
    listener.emit = lambda body: (_ for _ in ()).throw(RuntimeError("broken"))
    with pytest.raises(RuntimeError):
        desk.session.stop_conversation("caller_hangup")
    assert [body.reason for body in desk.facts(ConversationEnded)] == ["caller_hangup"]
    assert desk.session.host is None


def test_clock_between_ticks_never_contradicts_the_ticks() -> None:
    desk = Desk()
    desk.leg("a", 0, 4000)
    assert desk.session.clock_ms() == 0
    desk.start()
    last = 0
    for _ in range(100):
        desk.run_tick()
        end = desk.now
        for share in (0.0, 0.3, 0.9):
            desk.now = end - TICK + share * TICK
            reading = desk.session.clock_ms()
            assert last <= reading
            assert desk.session.capture.now_ms <= reading <= desk.session.capture.now_ms + 20
            last = reading
        desk.now = end

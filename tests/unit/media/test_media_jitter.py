"""The jitter buffer on virtual time: a sender's clock, a network, and ticks of our own clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from sivo.media import codec
from sivo.media.jitter import SILENCE, Frame, JitterBuffer, Kind
from sivo.media.rtp import RtpPacket

Network = Callable[[int], list[float]]  # packet number -> delays in seconds (none = lost, two = duplicated)


def mark(number: int) -> bytes:
    """A loud frame that carries its number (two bytes of it) in every pair of samples."""
    return bytes((0x80 | number >> 6 & 0x3F, number & 0x3F)) * 80


def number_of(frame: Frame) -> int:
    return (frame.payload[0] & 0x3F) << 6 | frame.payload[1]


@dataclass
class Run:
    """What came out, tick by tick."""

    buffer: JitterBuffer
    frames: list[Frame] = field(default_factory=list)
    depths: list[float] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)  # inserted + dropped + skipped after each tick

    @property
    def played(self) -> list[int]:
        return [number_of(frame) for frame in self.frames if frame.kind is Kind.VOICE]

    def most_moves_per_second(self) -> int:
        return max(b - a for a, b in zip(self.moves, self.moves[50:], strict=False))


def arrivals(count: int, network: Network, ppm: float) -> Iterator[tuple[float, int]]:
    """(time, packet number) in order of arrival, of a sender whose clock is ``ppm`` fast."""
    waiting: list[tuple[float, int]] = []
    for number in range(count):
        sent = number * 0.020 / (1 + ppm / 1e6)
        while waiting and waiting[0][0] < sent:
            yield heapq.heappop(waiting)
        for delay in network(number):
            heapq.heappush(waiting, (sent + delay, number))
    while waiting:
        yield heapq.heappop(waiting)


def run(count: int, network: Network, ppm: float = 0.0, phase: float = 0.007, first_ts: int = 2**32 - 50_000) -> Run:
    result = Run(JitterBuffer())
    tick = 0

    def tick_until(now: float) -> None:
        nonlocal tick
        while tick * 0.020 + phase <= now:
            result.frames.append(result.buffer.pop(tick * 0.020 + phase))
            result.depths.append(result.buffer.buffered_ms)
            result.moves.append(result.buffer.inserted + result.buffer.dropped + result.buffer.skipped)
            tick += 1

    for now, number in arrivals(count, network, ppm):
        tick_until(now)
        timestamp = (first_ts + number * 160) & 0xFFFFFFFF
        result.buffer.put(RtpPacket(0, False, (60_000 + number) & 0xFFFF, timestamp, 1, mark(number & 0xFFF)), now)
    tick_until(count * 0.020 + 0.6)
    return result


def test_a_perfect_network_plays_everything_in_order() -> None:
    result = run(500, lambda _: [0.005])
    assert result.played == sorted(result.played)
    assert len(result.played) >= 499, "one frame at most is given up to come down to the needed depth"
    assert result.frames.index(next(frame for frame in result.frames if frame.kind is Kind.VOICE)) <= 4
    assert max(result.depths) <= 80
    assert result.buffer.late == result.buffer.inserted == 0


def test_the_first_packet_waits_for_the_target() -> None:
    result = run(50, lambda _: [0.0])
    silent = next(index for index, frame in enumerate(result.frames) if frame.kind is Kind.VOICE)
    assert 40 <= silent * 20 <= 60


def test_reordered_and_doubled_packets_are_heard_once_and_in_order() -> None:
    result = run(500, lambda n: [0.030 if n % 7 == 3 else 0.002] * (2 if n % 5 == 0 else 1))
    assert result.played == sorted(set(result.played))
    assert len(result.played) >= 498
    assert result.buffer.duplicates == 100
    assert result.buffer.late == 0


def test_lost_packets_are_concealed_and_the_others_keep_their_place() -> None:
    result = run(1000, lambda n: [] if n % 20 == 9 else [0.005])
    lost = {n for n in range(1000) if n % 20 == 9}
    assert set(result.played).isdisjoint(lost)
    assert len(result.played) >= 949
    concealed = sum(frame.kind is Kind.CONCEALED for frame in result.frames)
    assert 45 <= concealed <= 55
    start = next(index for index, frame in enumerate(result.frames) if frame.kind is Kind.VOICE)
    made_up = result.frames[start + 9]
    assert made_up.kind is Kind.CONCEALED
    assert 0 < codec.rms(made_up.pcm16) < codec.rms(result.frames[start + 8].pcm16)


def test_a_long_gap_fades_into_silence() -> None:
    result = run(200, lambda n: [] if 50 <= n < 80 else [0.005])
    kinds = [frame.kind for frame in result.frames]
    first = kinds.index(Kind.CONCEALED)
    assert kinds[first : first + 4] == [Kind.CONCEALED] * 3 + [Kind.SILENCE]
    levels = [codec.rms(frame.pcm16) for frame in result.frames[first : first + 4]]
    assert levels == sorted(levels, reverse=True) and levels[3] == 0


@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_40_ms_is_absorbed(seed: int) -> None:
    rng = random.Random(seed)
    result = run(3000, lambda _: [0.010 + rng.uniform(0, 0.040)])
    assert len(result.played) >= 2970
    assert result.played == sorted(set(result.played))
    assert max(result.depths) <= 120
    assert result.most_moves_per_second() <= 1


@pytest.mark.parametrize("ppm", [-200, 200])
def test_impaired_and_skewed_network_for_ten_minutes(ppm: int) -> None:
    rng = random.Random(ppm)

    def network(_number: int) -> list[float]:
        chance = rng.random()
        delay = 0.010 + rng.uniform(0, 0.040)
        if chance < 0.05:
            return []
        return [delay, delay + 0.003] if chance < 0.06 else [delay]

    result = run(30_000, network, ppm)
    assert len(result.frames) == 30_000 + 30, "one frame per tick, whatever comes in"
    assert max(result.depths[100:]) <= 120
    assert result.most_moves_per_second() <= 1
    assert result.buffer.late <= 150, "half a percent"
    assert len(result.played) >= 0.94 * 30_000
    drift = result.buffer.inserted - result.buffer.dropped
    assert drift < 0 if ppm > 0 else drift > 0
    assert abs(abs(drift) - 6) <= 3, "200 ppm of ten minutes are 120 ms, six frames"


def test_skew_alone_moves_a_frame_now_and_then() -> None:
    result = run(30_000, lambda _: [0.005], ppm=-200)
    assert result.buffer.late <= 1
    assert 4 <= result.buffer.inserted <= 8
    assert max(result.depths) <= 80


def test_a_burst_after_a_stall_does_not_grow_the_buffer() -> None:
    def network(n: int) -> list[float]:
        return [0.005 + max(0.0, (520 - n) * 0.020)] if 500 <= n < 520 else [0.005]  # 400 ms at once

    result = run(1500, network)
    assert max(result.depths) <= 120
    assert result.buffer.resyncs == result.buffer.skipped == 0
    assert result.played == sorted(set(result.played))
    assert len(set(range(600, 1500)) - set(result.played)) <= 2, "what it grew by is given back"


def test_a_lasting_later_arrival_is_followed_within_a_fraction_of_a_second() -> None:
    result = run(1000, lambda n: [0.005 if n < 500 else 0.305])
    assert result.buffer.resyncs == 1
    missing = set(range(550, 1000)) - set(result.played)
    assert len(missing) <= 1, "the one frame that is given up to come down from the first target"
    assert result.played == sorted(set(result.played))


def test_a_new_source_or_jumped_clock_starts_afresh() -> None:
    buffer = JitterBuffer()
    heard: list[int] = []
    for n in range(200):
        ssrc, base = (1, 0) if n < 100 else (2, 3_000_000_000)
        buffer.put(RtpPacket(0, False, (n * (1 if n < 100 else 7)) & 0xFFFF, base + n * 160, ssrc, mark(n)), n * 0.02)
        frame = buffer.pop(n * 0.02 + 0.01)
        if frame.kind is Kind.VOICE:
            heard.append(number_of(frame))
    assert buffer.resyncs == 1
    assert heard[-90:] == list(range(heard[-90], heard[-90] + 90))


def test_other_packet_times_are_cut_into_our_frames() -> None:
    for samples in (80, 240, 480):
        buffer = JitterBuffer()
        sound = bytes((n % 100) + 1 for n in range(8000))
        out = bytearray()
        sent = 0
        for tick in range(60):
            now = tick * 0.020
            while sent * samples < (tick + 1) * 160 and (sent + 1) * samples <= len(sound):
                piece = sound[sent * samples : (sent + 1) * samples]
                buffer.put(RtpPacket(0, False, sent, 500 + sent * samples, 1, piece), now)
                sent += 1
            frame = buffer.pop(now + 0.010)
            assert len(frame.payload) == 160 and len(frame.pcm16) == 320
            if frame.kind is Kind.VOICE:
                out += frame.payload
        expected = codec.encode(0, codec.decode(0, sound))
        assert bytes(out)[:6400] == expected[:6400], f"packets of {samples} samples"


def test_a_law_is_kept_as_it_is_and_known_as_mu_law_too() -> None:
    buffer = JitterBuffer(target_ms=20)
    payload = codec.encode(codec.PCMA, bytes(range(160)) * 2)
    buffer.put(RtpPacket(8, False, 1, 160, 1, payload), 0.0)
    frame = buffer.pop(0.01)
    assert frame.payload == payload
    assert frame.ulaw == codec.encode(0, codec.decode(8, payload))


def test_odd_payloads_and_floods_are_bounded() -> None:
    buffer = JitterBuffer()
    buffer.put(RtpPacket(0, False, 1, 0, 1, b""), 0.0)
    buffer.put(RtpPacket(0, False, 2, 0, 1, bytes(961)), 0.0)
    assert buffer.pop(0.0) is SILENCE
    for n in range(5000):
        buffer.put(RtpPacket(0, False, n & 0xFFFF, n, 1, b"x"), 0.0)
    assert buffer.buffered_ms <= 200


@pytest.mark.parametrize("held_ms", [60, 150, 400, 900])
def test_what_came_while_the_process_was_held_up_is_played_when_the_ticks_are_made_up_for(held_ms: int) -> None:
    """Packets of a stall are read all at once, before the ticks that were due meanwhile."""
    buffer, played = JitterBuffer(), []
    begin, end = 2.0, 2.0 + held_ms / 1000
    packets = [(number * 0.020, number) for number in range(250)]
    ticks = [0.007 + number * 0.020 for number in range(250)]
    moments = [(end if begin < at < end else at, 0, at, number) for at, number in packets]
    moments += [(end if begin < due < end else due, 1, due, 0) for due in ticks]
    for now, kind, due, number in sorted(moments):
        if kind:
            frame = buffer.pop(due)
            played += [number_of(frame)] if frame.kind is Kind.VOICE else []
        else:
            buffer.put(RtpPacket(0, False, number, number * 160, 1, mark(number)), now)
    assert played == list(range(played[-1] + 1))
    assert buffer.late == buffer.skipped == buffer.resyncs == 0

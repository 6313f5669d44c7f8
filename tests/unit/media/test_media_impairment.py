"""Bad networks on virtual time, from datagrams to the record: one frame a tick, channels together, MOS as expected."""

from __future__ import annotations

import array
import audioop
import heapq
import itertools
import random
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sivo.calls import quality
from sivo.media import codec, rtp
from sivo.media.concealment import Concealment
from sivo.media.jitter import JitterBuffer, Kind
from sivo.media.leg import Leg
from sivo.media.protocol import Remote
from sivo.media.rtp import RtpPacket

PEER = ("192.0.2.1", 4000)
VOICE = Path(__file__).parents[2] / "data" / "voice" / "en_order_slt.wav"
Network = Callable[[int], list[float]]


def network(seed: int, loss: float = 0.05, twice: float = 0.01, jitter: float = 0.040) -> Network:
    """5 % lost, 1 % doubled, delays of 10 to 50 ms each for itself, so that packets overtake each other."""
    rng = random.Random(seed)

    def delays(_number: int) -> list[float]:
        delay = 0.010 + rng.uniform(0, jitter)
        chance = rng.random()
        if chance < loss:
            return []
        return [delay, delay + rng.uniform(0, 0.030)] if chance < loss + twice else [delay]

    return delays


def arrivals(count: int, delays: Network, ppm: float) -> Iterator[tuple[float, int]]:
    """(time, number) in order of arrival, from a sender whose clock runs ``ppm`` fast."""
    waiting: list[tuple[float, int]] = []
    for number in range(count):
        sent = number * 0.020 / (1 + ppm / 1e6)
        while waiting and waiting[0][0] < sent:
            yield heapq.heappop(waiting)
        for delay in delays(number):
            heapq.heappush(waiting, (sent + delay, number))
    while waiting:
        yield heapq.heappop(waiting)


def marked(number: int) -> bytes:
    """A loud frame that carries its number (two bytes of six bits)."""
    return bytes((0x80 | number >> 6 & 0x3F, number & 0x3F)) * 80


class Sender:
    """One phone behind one network, and the leg that hears it."""

    def __init__(self, ppm: float, delays: Network, count: int) -> None:
        self.ppm, self.leg = ppm, Leg("a", 0)
        self.leg.set_remote(Remote(host=PEER[0], port=PEER[1]))
        self._arrivals = itertools.chain(arrivals(count, delays, ppm), [(float("inf"), 0)])
        self._next = next(self._arrivals)
        self.latency: list[tuple[float, float]] = []  # (time, milliseconds from being said to being recorded)
        self.moves: list[int] = []
        self.depths: list[float] = []
        self.frames = 0

    def tick(self, now: float) -> None:
        while self._next[0] <= now:
            at, number = self._next
            self.leg.datagram(rtp.build(0, number & 0xFFFF, number * 160, 7, marked(number & 0xFFF)), PEER, at)
            self._next = next(self._arrivals)
        frame = self.leg.hear(now)
        self.frames += 1
        assert len(frame.payload) == 160
        if frame.kind is Kind.VOICE:
            low = (frame.payload[0] & 0x3F) << 6 | frame.payload[1]
            newest = round(now * (1 + self.ppm / 1e6) / 0.020)
            number = newest - (newest - low) % 4096
            self.latency.append((now, (now - number * 0.020 / (1 + self.ppm / 1e6)) * 1000))
        buffer = self.leg._buffer
        self.moves.append(buffer.inserted + buffer.dropped + buffer.skipped)
        self.depths.append(buffer.buffered_ms)

    def latency_between(self, start: float, end: float) -> float:
        found = [ms for at, ms in self.latency if start <= at < end]
        return sum(found) / len(found)


def test_ten_minutes_of_two_bad_networks_with_clocks_that_run_apart() -> None:
    ticks = 30_000
    fast, slow = Sender(200, network(1), ticks), Sender(-200, network(2), ticks)
    for tick in range(ticks):
        for sender in (fast, slow):
            sender.tick(tick * 0.020 + 0.007)
    for sender in (fast, slow):
        stats = sender.leg.stats()
        assert sender.frames == ticks, "one frame a tick, whatever comes in"
        assert max(sender.depths[100:]) <= 120
        assert max(b - a for a, b in zip(sender.moves, sender.moves[50:], strict=False)) <= 1
        assert max(ms for _, ms in sender.latency[100:]) <= 150
        assert stats.duplicates == pytest.approx(300, abs=60) and stats.reordered > 1000
        assert 100 * stats.lost / 30_000 == pytest.approx(4.0, abs=1.2)  # doubled packets hide some (RFC 3550 A.3)
        moved = f"{stats.inserted} in, {stats.dropped} out, late {stats.late}, buffer {stats.buffer_ms} ms"
        print(f"{sender.ppm:+.0f} ppm: {moved}, jitter {stats.jitter_ms} ms, MOS {quality.mos(vars_of(stats))}")
    apart = [
        abs(fast.latency_between(start, start + 30) - slow.latency_between(start, start + 30))
        for start in range(5, 570, 30)
    ]
    print("channels apart, ms:", [round(ms) for ms in apart])
    assert max(apart) <= 40, "the same moment stands at the same place of both channels, from start to end"


def vars_of(stats: object) -> dict[str, float]:
    return {name: getattr(stats, name) for name in stats.__struct_fields__}  # type: ignore[attr-defined]


def mos_under(loss: float, jitter: float) -> float:
    sender = Sender(0, network(5, loss, 0.0, jitter), 3000)
    for tick in range(3000):
        sender.tick(tick * 0.020 + 0.007)
    found = quality.mos(vars_of(sender.leg.stats()))
    assert found is not None
    return found


def test_mos_falls_as_the_network_gets_worse() -> None:
    by_loss = [mos_under(loss, 0.005) for loss in (0.0, 0.01, 0.03, 0.05, 0.10, 0.20)]
    print("MOS at 0, 1, 3, 5, 10, 20 % loss:", by_loss)
    assert all(a - b > 0.05 for a, b in itertools.pairwise(by_loss))
    assert by_loss[0] > 4.3 and 3.6 < by_loss[3] < 4.0 and by_loss[5] < 2.8
    by_jitter = [mos_under(0.0, jitter) for jitter in (0.005, 0.040, 0.150)]
    print("MOS at 5, 40, 150 ms jitter:", by_jitter)
    assert by_jitter[0] >= by_jitter[1] > by_jitter[2]


# --- concealment ---


def speech() -> np.ndarray:
    with wave.open(str(VOICE)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


def with_holes(samples: np.ndarray, fill: Callable[[list[bytes], int], bytes], lost: set[int]) -> np.ndarray:
    """``samples`` with every lost 20 ms frame filled in; ``fill(frames so far, place in the gap)``."""
    done: list[bytes] = []
    gap = 0
    for number in range(len(samples) // 160):
        frame = samples[number * 160 : number * 160 + 160].astype("<i2").tobytes()
        gap = gap + 1 if number in lost else 0
        done.append(fill(done, gap - 1) if gap else frame)
    return np.frombuffer(b"".join(done), "<i2").astype(float)


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """dB, windows of 16 ms every 4 ms; nothing below the noise of G.711."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 128)[::32] * np.hanning(128)
    return 20 * np.log10(np.maximum(np.abs(np.fft.rfft(frames)), 300.0))


def distance(one: np.ndarray, other: np.ndarray, lost: set[int]) -> float:
    """Mean log-spectral distance in dB over the windows that touch a lost frame."""
    apart = np.sqrt(((spectrogram(one) - spectrogram(other)) ** 2).mean(axis=1))
    touched = [n for n in range(len(apart)) if {n * 32 // 160, (n * 32 + 127) // 160} & lost]
    return float(apart[touched].mean())


def test_concealment_shows_less_in_a_spectrogram_than_silence_or_a_repeated_frame() -> None:
    samples = speech()[: len(speech()) // 160 * 160]
    loud = [n for n in range(2, len(samples) // 160) if np.abs(samples[n * 160 - 160 : n * 160]).max() > 1500]
    lost = set(random.Random(4).sample(loud, len(loud) // 8))

    def ours(done: list[bytes], gap: int) -> bytes:
        voice = Concealment()
        for frame in done[-gap - 4 : -gap or None]:
            voice.heard(frame)
        made = [voice.frame(number) for number in range(min(gap + 1, 3))]
        return made[gap] if gap < 3 else bytes(320)

    def repeat(done: list[bytes], gap: int) -> bytes:
        return audioop.mul(done[-gap - 1], 2, (0.8, 0.5, 0.2)[gap]) if gap < 3 else bytes(320)

    found = {
        "pitch": distance(samples, with_holes(samples, ours, lost), lost),
        "repeat and fade": distance(samples, with_holes(samples, repeat, lost), lost),
        "silence": distance(samples, with_holes(samples, lambda done, gap: bytes(320), lost), lost),
    }
    print({name: round(value, 2) for name, value in found.items()})
    assert found["pitch"] < found["repeat and fade"] < found["silence"]


def test_a_tone_goes_on_in_phase_through_a_lost_packet() -> None:
    samples = 8000 * np.sin(2 * np.pi * 160 * np.arange(1600) / 8000)
    frames = [codec.encode(0, samples[n * 160 : n * 160 + 160].astype("<i2").tobytes()) for n in range(10)]
    buffer = JitterBuffer(target_ms=20)
    heard = bytearray()
    for number, frame in enumerate(frames):
        if number != 5:
            buffer.put(RtpPacket(0, False, number, number * 160, 1, frame), number * 0.02)
        heard += buffer.pop(number * 0.02 + 0.01).pcm16
    assert buffer.concealed == 1
    got = np.frombuffer(bytes(heard), "<i2").astype(float)[5 * 160 : 6 * 160]
    want = samples[5 * 160 : 6 * 160]
    assert float(np.corrcoef(got, want)[0, 1]) > 0.99
    steps = np.abs(np.diff(array.array("h", bytes(heard))))
    assert steps.max() < 3 * 8000 * 2 * np.pi * 160 / 8000, "no click at either edge"

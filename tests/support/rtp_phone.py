"""A small RTP peer for tests, independent of the product's own media code: plays PCM at 20 ms, keeps all it receives.

phone = await RtpPhone.open()
phone.call("127.0.0.1", 33500)      # where to send
phone.play(tone(400, seconds=2))    # PCM16, 8 kHz; silence is sent when nothing is queued
phone.start()
...
await phone.close()
level_db(phone.heard(), 1000)
"""

from __future__ import annotations

import array
import asyncio
import audioop
import cmath
import itertools
import math
import random
import struct
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import cast

RATE = 8000
FRAME = 160
FRAME_S = 0.020
#: Held up for longer than this, as by a host that took the processor, a phone's sound pauses: a burst would be lost.
HELD_S = 0.050


@dataclass(frozen=True)
class Received:
    """One datagram as it came in."""

    at: float
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    source: tuple[str, int]


class RtpPhone(asyncio.DatagramProtocol):
    """One RTP port. ``payload_type`` 0 PCMU or 8 PCMA."""

    def __init__(self, payload_type: int = 0, dtmf_payload_type: int = 101) -> None:
        self.payload_type = payload_type
        self.dtmf_payload_type = dtmf_payload_type
        self.received: list[Received] = []
        self.sent: list[tuple[float, int]] = []  # (time, sequence)
        self.ssrc = random.getrandbits(32)
        self.sequence = random.getrandbits(15)
        self.timestamp = random.getrandbits(32)
        self._queue = bytearray()
        self._target: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._task: asyncio.Task[None] | None = None
        self._digits: list[list[tuple[int, bytes, bool]]] = []
        self._stands = False

    @classmethod
    async def open(cls, host: str = "127.0.0.1", port: int = 0, payload_type: int = 0) -> RtpPhone:
        """Bind a UDP port (0 = any)."""
        phone = cls(payload_type)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: phone, local_addr=(host, port))
        return phone

    @property
    def port(self) -> int:
        """Own port."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def call(self, host: str, port: int) -> None:
        """Set where packets go."""
        self._target = (host, port)

    def play(self, pcm16: bytes) -> None:
        """Queue PCM16 little-endian, 8 kHz, mono."""
        self._queue += pcm16

    def play_wav(self, path: Path) -> None:
        """Queue a WAV file (8 kHz, mono, 16 bit)."""
        with wave.open(str(path), "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            self.play(file.readframes(file.getnframes()))

    @property
    def playing_ms(self) -> int:
        """Milliseconds still queued."""
        return len(self._queue) // 16

    def hush(self) -> None:
        """Forget what is queued."""
        self._queue.clear()

    def press(self, digit: str, packets: int = 5, ends: int = 3) -> None:
        """Queue one telephone event: ``packets`` updates, then ``ends`` end packets (0 = all ends lost)."""
        event = "0123456789*#ABCD".index(digit)
        updates = [(FRAME * (n + 1), False) for n in range(packets)]
        updates += [(FRAME * packets, True)] * ends
        self._digits.append(
            [
                (n, struct.pack("!BBH", event, (0x80 if end else 0) | 10, duration), n == 0)
                for n, (duration, end) in enumerate(updates)
            ]
        )

    def timestamp_stands(self, stands: bool) -> None:
        """Keys do not move the stream's clock, as on a phone whose sound source is late."""
        self._stands = stands

    def start(self) -> None:
        """Begin to send, one packet every 20 ms on an absolute clock."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Send no more; receiving goes on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Stop and free the port."""
        self.stop()
        if self._transport is not None:
            self._transport.close()
        await asyncio.sleep(0)

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            behind = time.monotonic() - due
            if behind > HELD_S:
                pause = int(behind / FRAME_S)
                due += pause * FRAME_S
                self.timestamp = (self.timestamp + pause * FRAME) & 0xFFFFFFFF
            self._send_next()
            due += FRAME_S
            await asyncio.sleep(max(due - time.monotonic(), 0))

    def _send_next(self) -> None:
        if self._digits:
            self._send_digit()
        else:
            frame = bytes(self._queue[: 2 * FRAME])
            del self._queue[: 2 * FRAME]
            frame += bytes(2 * FRAME - len(frame))
            payload = audioop.lin2alaw(frame, 2) if self.payload_type == 8 else audioop.lin2ulaw(frame, 2)
            self.send_packet(payload)
            self._stands = False
        if not self._stands:
            self.timestamp = (self.timestamp + FRAME) & 0xFFFFFFFF

    def _send_digit(self) -> None:
        number, payload, marker = self._digits[0].pop(0)
        begun = self.timestamp if self._stands else self.timestamp - number * FRAME
        self.send_packet(payload, self.dtmf_payload_type, begun & 0xFFFFFFFF, marker)
        if not self._digits[0]:
            self._digits.pop(0)

    def send_packet(
        self, payload: bytes, payload_type: int | None = None, timestamp: int | None = None, marker: bool = False
    ) -> None:
        """Send one packet now."""
        assert self._transport is not None
        if self._target is None:
            return
        kind = self.payload_type if payload_type is None else payload_type
        stamp = self.timestamp if timestamp is None else timestamp
        self.sequence = (self.sequence + 1) & 0xFFFF
        header = struct.pack("!BBHII", 0x80, kind | (0x80 if marker else 0), self.sequence, stamp, self.ssrc)
        self._transport.sendto(header + payload, self._target)
        self.sent.append((time.monotonic(), self.sequence))

    # --- asyncio.DatagramProtocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < 12:
            return
        _, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        self.received.append(
            Received(
                time.monotonic(), second & 0x7F, second >= 128, sequence, timestamp, ssrc, data[12:], (addr[0], addr[1])
            )
        )

    def error_received(self, exc: Exception) -> None:
        """An ICMP "port unreachable": the other side is gone; tests look at what was received instead."""

    # --- what was heard ---

    def heard(self) -> bytes:
        """Everything received as PCM16, laid out by RTP timestamp; silence in the gaps."""
        audio = [packet for packet in self.received if packet.payload_type in (0, 8)]
        if not audio:
            return b""
        first = audio[0].timestamp
        places = {((packet.timestamp - first) & 0xFFFFFFFF): packet for packet in audio}
        places = {offset: packet for offset, packet in places.items() if offset < 1 << 31}
        out = bytearray(2 * (max(places) + FRAME))
        for offset, packet in places.items():
            pcm = (
                audioop.ulaw2lin(packet.payload, 2) if packet.payload_type == 0 else audioop.alaw2lin(packet.payload, 2)
            )
            out[2 * offset : 2 * offset + len(pcm)] = pcm
        return bytes(out)

    def gaps_ms(self) -> list[float]:
        """Time between received packets."""
        times = [packet.at for packet in self.received]
        return [(b - a) * 1000 for a, b in itertools.pairwise(times)]


def tone(hertz: float, seconds: float, amplitude: int = 8000) -> bytes:
    """A sine as PCM16, 8 kHz."""
    step = 2 * math.pi * hertz / RATE
    return array.array("h", (int(amplitude * math.sin(step * n)) for n in range(int(RATE * seconds)))).tobytes()


def level_db(pcm16: bytes, hertz: float) -> float:
    """Level of one frequency in dB of full scale (Goertzel over Hann-windowed 0.2 s blocks, the mean power)."""
    samples = array.array("h", pcm16[: len(pcm16) & ~1])
    block = RATE // 5
    powers = [_power(samples[start : start + block], hertz) for start in range(0, len(samples) - block + 1, block)]
    if not powers:
        return -120.0
    return 10 * math.log10(max(sum(powers) / len(powers), 1e-12))


def _power(samples: array.array[int], hertz: float) -> float:
    count = len(samples)
    coefficient = 2 * math.cos(2 * math.pi * hertz / RATE)
    one = two = 0.0
    for n, value in enumerate(samples):
        window = 0.5 - 0.5 * math.cos(2 * math.pi * n / count)
        one, two = value / 32768 * window + coefficient * one - two, one
    spectrum = one - two * cmath.exp(-2j * math.pi * hertz / RATE)
    return (4 * abs(spectrum) / count) ** 2 / 2

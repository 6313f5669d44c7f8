"""RTP for the demo's caller (RFC 3550, PCMU): sends on an absolute 20 ms clock, listens to when the agent speaks."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from sivo.demo.caller_audio import FRAME, RATE, SILENCE, loudness

#: A frame louder than this (RMS, 16-bit scale) is the agent's voice and not line noise.
VOICE = 150.0
_TICK = FRAME / RATE
#: Seconds of being held up after which the caller's sound pauses.
HELD = 0.050


@dataclass
class Heard:
    """What came in: times are ``time.monotonic`` seconds."""

    packets: int = 0
    lost: int = 0
    first_packet: float | None = None
    first_voice: float | None = None
    last_voice: float | None = None
    #: Times of all voiced frames; one second of speech is 50.
    voiced: list[float] = field(default_factory=list)
    largest_gap_ms: float = 0.0
    _last_packet: float | None = None
    _last_sequence: int | None = None
    _audio: bytearray = field(default_factory=bytearray)
    _timestamp_base: int | None = None

    def take(self, packet: bytes, now: float) -> None:
        """Account for one datagram; anything that is not PCMU in RTP version 2 is ignored."""
        if len(packet) < 12 or packet[0] >> 6 != 2 or packet[1] & 0x7F != 0:
            return
        _, _, sequence, timestamp, _ = struct.unpack("!BBHII", packet[:12])
        payload = packet[12 + 4 * (packet[0] & 0x0F) :]
        self.packets += 1
        self._account(sequence, now)
        self._keep(timestamp, payload)
        if loudness(payload) > VOICE:
            self.first_voice = self.first_voice or now
            self.last_voice = now
            self.voiced.append(now)

    def voiced_since(self, start: float) -> float:
        """Seconds of the agent's voice since ``start``."""
        return sum(1 for at in reversed(self.voiced) if at >= start) * _TICK

    def first_voice_since(self, start: float) -> float | None:
        """When the agent was first heard at or after ``start``."""
        return next((at for at in self.voiced if at >= start), None)

    @property
    def audio(self) -> bytes:
        """Everything heard, in the order of the RTP timestamps; mu-law."""
        return bytes(self._audio)

    def _account(self, sequence: int, now: float) -> None:
        if self._last_sequence is not None:
            self.lost += (
                max(0, ((sequence - self._last_sequence) & 0xFFFF) - 1) if sequence != self._last_sequence else 0
            )
        self._last_sequence = sequence
        if self._last_packet is not None:
            self.largest_gap_ms = max(self.largest_gap_ms, (now - self._last_packet) * 1000)
        self._last_packet = now
        self.first_packet = self.first_packet or now

    def _keep(self, timestamp: int, payload: bytes) -> None:
        if self._timestamp_base is None:
            self._timestamp_base = timestamp
        start = (timestamp - self._timestamp_base) & 0xFFFFFFFF
        if start > 3600 * RATE:  # a jump of the sender's clock; nothing sensible to place it at
            return
        self._audio.extend(b"\xff" * (start + len(payload) - len(self._audio)))
        self._audio[start : start + len(payload)] = payload


class RtpPeer(asyncio.DatagramProtocol):
    """One UDP socket: plays queued frames, silence between them, and fills :class:`Heard`."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.sent = 0
        self.latest_ms = 0.0
        self._transport: asyncio.DatagramTransport | None = None
        self._queue: deque[bytes] = deque()
        self._drained = asyncio.Event()
        self._drained.set()
        self.last_queued_sent_at = 0.0

    @classmethod
    async def open(cls, host: str) -> RtpPeer:
        """Bind a free port of ``host``."""
        _, peer = await asyncio.get_running_loop().create_datagram_endpoint(cls, local_addr=(host, 0))
        return peer

    @property
    def local_host(self) -> str:
        """Our RTP address."""
        assert self._transport is not None
        return str(self._transport.get_extra_info("sockname")[0])

    @property
    def port(self) -> int:
        """Our RTP port."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.take(data, time.monotonic())

    def close(self) -> None:
        """Free the port."""
        if self._transport is not None:
            self._transport.close()

    async def say(self, frames: list[bytes]) -> tuple[float, float]:
        """Send ``frames`` after what is queued; when the first voiced one and the last voiced one were sent."""
        loud = [index for index, frame in enumerate(frames) if loudness(frame) > VOICE]
        self._drained.clear()
        self._queue.extend(frames)
        await self._drained.wait()
        end = self.last_queued_sent_at
        return end - (len(frames) - 1 - loud[0]) * _TICK, end - (len(frames) - 1 - loud[-1]) * _TICK

    async def send_to(self, remote: tuple[str, int]) -> None:
        """Send a frame every 20 ms until cancelled; a late tick is made up for. After being held up for longer than a
        jitter buffer bears, the sound pauses for so long: a burst of old frames would only be thrown away."""
        assert self._transport is not None
        start, source = time.monotonic(), random.getrandbits(32)
        sequence, timestamp = random.getrandbits(16), random.getrandbits(32)
        while True:
            due = start + self.sent * _TICK
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if now - due > HELD:
                pause = int((now - due) / _TICK)
                start, timestamp = start + pause * _TICK, timestamp + pause * FRAME
            self.latest_ms = max(self.latest_ms, (now - due) * 1000)
            payload = self._queue.popleft() if self._queue else SILENCE
            head = struct.pack(
                "!BBHII", 0x80, 0, (sequence + self.sent) & 0xFFFF, (timestamp + self.sent * FRAME) & 0xFFFFFFFF, source
            )
            self._transport.sendto(head + payload, remote)
            self.sent += 1
            if not self._drained.is_set() and not self._queue:
                self.last_queued_sent_at = now
                self._drained.set()

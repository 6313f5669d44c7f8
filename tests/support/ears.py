"""Many RTP ends in one process: each speaks and listens for one call whose signalling somebody else does."""

from __future__ import annotations

import asyncio
import audioop
import math
import struct
from dataclasses import dataclass, field
from typing import cast

_FRAME = 160
_HISS = bytes(0xFF - (number * 7 % 3) for number in range(_FRAME))


@dataclass
class Ear(asyncio.DatagramProtocol):
    """One socket. From the first packet that comes it sends 20 ms frames of line noise to where that came from."""

    host: str
    port: int = 0
    #: Payloads of PCMU packets, in the order in which they came.
    heard: list[bytes] = field(default_factory=list)
    sent: int = 0
    peer: tuple[str, int] | None = None
    _transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) == 12 + _FRAME and data[1] & 0x7F == 0:
            self.peer = addr
            self.heard.append(data[12:])

    def speak(self) -> None:
        """One frame, if the call is up."""
        if self.peer is not None and self._transport is not None:
            head = struct.pack("!BBHII", 0x80, 0, self.sent & 0xFFFF, self.sent * _FRAME & 0xFFFFFFFF, self.port)
            self._transport.sendto(head + _HISS, self.peer)
            self.sent += 1

    def tone_ms(self, hertz: float) -> int:
        """How long a tone of this pitch was heard: 20 ms for each frame that mostly is it (Goertzel)."""
        return 20 * sum(_is_tone(payload, hertz) for payload in self.heard)

    def close(self) -> None:
        """Free the port."""
        if self._transport is not None:
            self._transport.close()


class Ears:
    """Opened together, spoken for by one clock."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.all: list[Ear] = []
        self._clock: asyncio.Task[None] | None = None

    async def open(self, number: int, frames: int = 150) -> None:
        """As many sockets, on free ports; each speaks for ``frames`` of 20 ms (3 s)."""
        loop = asyncio.get_running_loop()
        for _ in range(number):
            _, ear = await loop.create_datagram_endpoint(lambda: Ear(self.host), local_addr=(self.host, 0))
            self.all.append(ear)
        self._clock = asyncio.create_task(self._tick(frames))

    async def _tick(self, frames: int) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for ear in self.all:
                if ear.sent < frames:
                    ear.speak()
            due += 0.02
            await asyncio.sleep(max(due - loop.time(), 0))

    def close(self) -> None:
        """Free all."""
        if self._clock is not None:
            self._clock.cancel()
        for ear in self.all:
            ear.close()


def _is_tone(payload: bytes, hertz: float) -> bool:
    samples = struct.unpack(f"<{_FRAME}h", audioop.ulaw2lin(payload, 2))
    power = sum(sample * sample for sample in samples)
    if power < _FRAME * 200**2:
        return False
    turn = 2 * math.cos(2 * math.pi * hertz / 8000)
    one = two = 0.0
    for sample in samples:
        one, two = sample + turn * one - two, one
    return (one * one + two * two - turn * one * two) * 2 / _FRAME > 0.8 * power

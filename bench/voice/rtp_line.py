"""RTP towards one caller, for the peers: PCMU in and out, 20 ms, the smallest transport that a phone understands.

Imported by the peers' own Python, so it stands on the standard library alone.
"""

from __future__ import annotations

import asyncio
import audioop
import random
import struct
from collections.abc import Callable
from typing import cast

FRAME, FRAME_S = 160, 0.020


class RtpLine(asyncio.DatagramProtocol):
    """``heard`` gets every 20 ms as PCM16, 8 kHz."""

    def __init__(self, caller_port: int, heard: Callable[[bytes], None]) -> None:
        self._to = ("127.0.0.1", caller_port)
        self._heard = heard
        self._transport: asyncio.DatagramTransport | None = None
        self._sequence, self._stamp, self._ssrc = 0, 0, random.getrandbits(32)

    @classmethod
    async def open(cls, caller_port: int, heard: Callable[[bytes], None]) -> RtpLine:
        """A line on a free port of loopback."""
        line = cls(caller_port, heard)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: line, local_addr=("127.0.0.1", 0))
        return line

    @property
    def port(self) -> int:
        """Own port."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def send(self, pcm16: bytes) -> None:
        """Up to 20 ms, now."""
        if self._transport is None or self._transport.is_closing():
            return
        payload = audioop.lin2ulaw(pcm16 + bytes(2 * FRAME - len(pcm16)), 2)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._stamp = (self._stamp + FRAME) & 0xFFFFFFFF
        head = struct.pack("!BBHII", 0x80, 0, self._sequence, self._stamp, self._ssrc)
        self._transport.sendto(head + payload, self._to)

    def close(self) -> None:
        """Free the port."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.DatagramProtocol`."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """See :class:`asyncio.DatagramProtocol`."""
        if len(data) == 12 + FRAME:
            self._heard(audioop.ulaw2lin(data[12:], 2))

"""Messages as bytes: one msgpack document behind a 4-byte big-endian length."""

from __future__ import annotations

import msgspec

from sivo.media.protocol.answers import Done, Hello, Note, Refused
from sivo.media.protocol.commands import Command
from sivo.media.protocol.facts import Fact

MAX_MESSAGE = 4 * 1024 * 1024

Event = Hello | Done | Refused | Note | Fact

_encoder = msgspec.msgpack.Encoder()
command_decoder = msgspec.msgpack.Decoder(Command)
event_decoder = msgspec.msgpack.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """One framed message: length and body."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class Deframer:
    """Cuts a byte stream into message bodies. ``ValueError`` when a length is over :data:`MAX_MESSAGE`."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in, give whole bodies out."""
        self._buffer += data
        bodies: list[bytes] = []
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > MAX_MESSAGE:
                raise ValueError(f"message of {size} bytes is over the limit of {MAX_MESSAGE}")
            if len(self._buffer) < 4 + size:
                break
            bodies.append(bytes(self._buffer[4 : 4 + size]))
            del self._buffer[: 4 + size]
        return bodies

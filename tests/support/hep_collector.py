"""A HEP3 collector made of a socket and of the specification; it shares no code with the product."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Packet:
    """What one packet says."""

    correlation: str
    payload: str
    source: tuple[str, int]
    target: tuple[str, int]
    at: float
    agent: int
    key: bytes

    @property
    def first_line(self) -> str:
        """Of the SIP message."""
        return self.payload.partition("\r\n")[0]


def read(packet: bytes) -> Packet:
    """Decode one packet (HEP3, revision 12), checking every length."""
    assert packet[:4] == b"HEP3" and struct.unpack("!H", packet[4:6])[0] == len(packet)
    chunks: dict[int, bytes] = {}
    rest = packet[6:]
    while rest:
        vendor, kind, length = struct.unpack("!HHH", rest[:6])
        assert vendor == 0 and 6 <= length <= len(rest)
        chunks[kind], rest = rest[6:length], rest[length:]
    assert (chunks[1], chunks[2], chunks[11]) == (b"\x02", b"\x11", b"\x01"), "IPv4, UDP, SIP"
    ports = [struct.unpack("!H", chunks[kind])[0] for kind in (7, 8)]
    seconds, micros = struct.unpack("!I", chunks[9])[0], struct.unpack("!I", chunks[10])[0]
    return Packet(
        chunks[17].decode(),
        chunks[15].decode(),
        (socket.inet_ntoa(chunks[3]), ports[0]),
        (socket.inet_ntoa(chunks[4]), ports[1]),
        seconds + micros / 1e6,
        struct.unpack("!I", chunks[12])[0],
        chunks.get(14, b""),
    )


class HepCollector:
    """A bound socket; what is not read in time is lost, as with any collector."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)

    @property
    def address(self) -> str:
        """``host:port``."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def take(self) -> list[Packet]:
        """Everything that has come."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(read(self._socket.recv(65_535)))
        return found

    def close(self) -> None:
        """Leave."""
        self._socket.close()

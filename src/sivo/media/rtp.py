"""RTP packets (RFC 3550 §5.1) and what a receiver counts about them (§6.4.1, A.1, A.3, A.8).

Parsing is strict: whatever does not fit its own length fields is refused, nothing is guessed.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("!BBHII")
#: Larger than any Ethernet payload; more is not telephony.
MAX_PACKET = 1500
#: Payload types 72 to 76 with RTP's marker bit are RTCP packet types 200 to 204 (RFC 5761 §4).
_RTCP_TYPES = range(72, 77)

SEQ_MOD = 1 << 16
TS_MOD = 1 << 32


class RtpError(ValueError):
    """Not an RTP packet; the message says which rule it breaks."""


class RtpPacket(NamedTuple):
    """One packet without its CSRC list, extension and padding."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> RtpPacket:
    """Read one datagram. Raises :class:`RtpError` for anything that is not exactly one RTP version 2 packet."""
    size = len(data)
    if size < 12 or size > MAX_PACKET:
        raise RtpError(f"{size} bytes: an RTP packet has 12 to {MAX_PACKET}")
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise RtpError(f"version {first >> 6} is not 2")
    payload_type = second & 0x7F
    if second & 0x80 and payload_type in _RTCP_TYPES:
        raise RtpError("an RTCP packet on the RTP port")
    if first == 0x80:  # no padding, no extension, no CSRC: nearly every packet
        return RtpPacket(payload_type, second >= 0x80, sequence, timestamp, ssrc, data[12:])
    start, end = _payload_bounds(data, first)
    return RtpPacket(payload_type, second >= 0x80, sequence, timestamp, ssrc, data[start:end])


def _payload_bounds(data: bytes, first: int) -> tuple[int, int]:
    end = len(data)
    start = 12 + 4 * (first & 0x0F)
    if start > end:
        raise RtpError(f"{first & 0x0F} CSRC entries do not fit into {end} bytes")
    if first & 0x10:
        if start + 4 > end:
            raise RtpError("the header extension does not fit")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        if start > end:
            raise RtpError("the header extension is longer than the packet")
    if first & 0x20:
        padding = data[-1]
        if padding == 0 or start + padding > end:
            raise RtpError(f"padding of {padding} bytes does not fit")
        end -= padding
    return start, end


def build(payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, marker: bool = False) -> bytes:
    """One packet; sequence and timestamp are cut to their width."""
    second = payload_type | 0x80 if marker else payload_type
    return HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def seq_delta(a: int, b: int) -> int:
    """How far sequence number ``a`` is after ``b``, -32768 to 32767."""
    return ((a - b + 0x8000) & 0xFFFF) - 0x8000


def ts_delta(a: int, b: int) -> int:
    """How far timestamp ``a`` is after ``b``, -2**31 to 2**31 - 1."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class ReceptionStats:
    """Loss, order and interarrival jitter of one received stream."""

    def __init__(self, clock_rate: int = 8000) -> None:
        self._rate = clock_rate
        self._ssrc: int | None = None
        self._transit: float | None = None
        self._base = 0
        self._highest = 0  # extended with cycles
        self._lost_before = 0  # of streams that were replaced
        self._received_of_stream = 0
        self.received = 0
        self.reordered = 0
        self.jitter = 0.0  # in timestamp units

    def put(self, packet: RtpPacket, now: float) -> None:
        """Count one packet that arrived at ``now`` (seconds)."""
        self.received += 1
        if packet.ssrc != self._ssrc or abs(seq_delta(packet.sequence, self._highest & 0xFFFF)) > 3000:
            self._restart(packet)
        delta = seq_delta(packet.sequence, self._highest & 0xFFFF)
        if delta > 0:
            self._highest += delta
        elif delta < 0:
            self.reordered += 1
        self._received_of_stream += 1
        transit = now * self._rate - packet.timestamp
        if self._transit is not None and delta > 0:
            change = abs(transit - self._transit)
            if change < 10 * self._rate:  # a jump of the timestamp is no jitter
                self.jitter += (change - self.jitter) / 16
        self._transit = transit

    def _restart(self, packet: RtpPacket) -> None:
        if self._ssrc is not None:
            self._lost_before = self.lost
        self._ssrc = packet.ssrc
        self._transit = None
        self._base = self._highest = packet.sequence
        self._received_of_stream = 0

    @property
    def lost(self) -> int:
        """Packets that never came (duplicates can hide some, as in the RFC), never negative."""
        if self._ssrc is None:
            return 0
        expected = self._highest - self._base + 1
        return self._lost_before + max(expected - self._received_of_stream, 0)

    @property
    def ssrc(self) -> int | None:
        """The stream that is received now; None before its first packet."""
        return self._ssrc

    @property
    def highest(self) -> int:
        """Highest sequence number of the stream, extended with its cycles."""
        return self._highest

    @property
    def expected(self) -> int:
        """Packets of the stream that were sent as far as its sequence numbers tell."""
        return 0 if self._ssrc is None else self._highest - self._base + 1

    @property
    def received_of_stream(self) -> int:
        """Packets of the stream that came."""
        return self._received_of_stream

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (RFC 3550 A.8) in milliseconds."""
        return self.jitter * 1000 / self._rate

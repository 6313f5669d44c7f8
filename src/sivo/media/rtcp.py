"""RTCP packets (RFC 3550 §6): sender and receiver reports with CNAME and BYE, read strictly and written.

Only what a call with one stream each way needs: reports are read for what they say about *our* stream, everything else
in a compound packet is stepped over by its length.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SR, RR, SDES, BYE = 200, 201, 202, 203
#: Larger than any Ethernet payload.
MAX_PACKET = 1500
#: Second byte of RTCP on a port shared with RTP (RFC 5761 §4).
TYPES = range(192, 224)
#: Seconds from 1900 to 1970.
_NTP_EPOCH = 2_208_988_800
_CNAME = 1
_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!IIIII")


class RtcpError(ValueError):
    """Not an RTCP compound packet; the message says which rule it breaks."""


class Block(NamedTuple):
    """One report block: what somebody received of the stream ``ssrc`` (RFC 3550 §6.4.1)."""

    ssrc: int
    #: Share lost since the last report, 0 to 255 of 256.
    fraction: int
    #: Packets lost so far; negative when duplicates outnumber the lost.
    lost: int
    highest: int
    #: In timestamp units (8 kHz).
    jitter: int
    #: Middle 32 bits of the NTP time of the last SR, and the delay since it in 1/65536 s; 0 = none yet.
    last_sr: int
    delay: int


class SenderInfo(NamedTuple):
    """What a sender says of its own stream: NTP time in 1/2**32 s, the RTP time of that moment, and its counts."""

    ntp: int
    timestamp: int
    packets: int
    octets: int


class Report(NamedTuple):
    """One SR or RR."""

    ssrc: int
    sender: SenderInfo | None
    blocks: tuple[Block, ...]


class Compound(NamedTuple):
    """A datagram: its reports, and the streams that said BYE."""

    reports: tuple[Report, ...]
    byes: tuple[int, ...]


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP and not RTP (RFC 5761 §4)."""
    return len(data) > 1 and data[1] in TYPES


def ntp_of(unix: float) -> int:
    """Unix seconds as a 64 bit NTP timestamp."""
    return int((unix + _NTP_EPOCH) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def middle(ntp: int) -> int:
    """The middle 32 bits, in 1/65536 s, as report blocks repeat them."""
    return (ntp >> 16) & 0xFFFF_FFFF


def parse(data: bytes) -> Compound:
    """Read a datagram. Raises :class:`RtcpError` (validity checks of RFC 3550 A.2)."""
    if not 8 <= len(data) <= MAX_PACKET:
        raise RtcpError(f"{len(data)} bytes: an RTCP packet has 8 to {MAX_PACKET}")
    if data[1] not in (SR, RR) or data[0] & 0x20:
        raise RtcpError("a compound packet begins with a report without padding")
    reports: list[Report] = []
    byes: list[int] = []
    start = 0
    while start < len(data):
        start = _one(data, start, reports, byes)
    return Compound(tuple(reports), tuple(byes))


def _one(data: bytes, start: int, reports: list[Report], byes: list[int]) -> int:
    if start + 4 > len(data):
        raise RtcpError("bytes left over that are no packet")
    first, kind, words = _HEADER.unpack_from(data, start)
    end: int = start + 4 * (words + 1)
    if first >> 6 != 2 or end > len(data):
        raise RtcpError("wrong version, or a length that does not fit")
    count, body = first & 0x1F, data[start + 4 : end]
    if kind in (SR, RR):
        reports.append(_report(kind, count, body))
    elif kind == BYE and len(body) >= 4 * count:
        byes.extend(struct.unpack_from(f"!{count}I", body))
    return end


def _report(kind: int, count: int, body: bytes) -> Report:
    at = 24 if kind == SR else 4
    if len(body) < at + 24 * count:
        raise RtcpError(f"{count} report blocks do not fit into {len(body)} bytes")
    sender = None
    if kind == SR:
        high, low, timestamp, packets, octets = _SENDER.unpack_from(body, 4)
        sender = SenderInfo(high << 32 | low, timestamp, packets, octets)
    blocks = tuple(_block(body, at + 24 * number) for number in range(count))
    return Report(int.from_bytes(body[:4], "big"), sender, blocks)


def _block(body: bytes, at: int) -> Block:
    ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(body, at)
    lost = loss & 0xFFFFFF
    return Block(ssrc, loss >> 24, lost - (1 << 24) if lost & 0x800000 else lost, highest, jitter, last_sr, delay)


def build(report: Report, cname: str, bye: bool = False) -> bytes:
    """A compound packet: SR (with ``sender``) or RR, SDES with the CNAME, and BYE when the stream ends."""
    kind = RR if report.sender is None else SR
    body = report.ssrc.to_bytes(4, "big")
    if report.sender is not None:
        ntp, timestamp, packets, octets = report.sender
        low = packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
        body += _SENDER.pack(ntp >> 32, ntp & 0xFFFFFFFF, timestamp & 0xFFFFFFFF, *low)
    for block in report.blocks:
        lost = min(max(block.lost, -0x800000), 0x7FFFFF) & 0xFFFFFF
        body += _BLOCK.pack(
            block.ssrc, block.fraction << 24 | lost, block.highest, block.jitter, block.last_sr, block.delay
        )
    packet = _packet(len(report.blocks), kind, body) + _sdes(report.ssrc, cname)
    return packet + _packet(1, BYE, report.ssrc.to_bytes(4, "big")) if bye else packet


def _sdes(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    chunk = ssrc.to_bytes(4, "big") + bytes((_CNAME, len(name))) + name
    return _packet(1, SDES, chunk + bytes(4 - len(chunk) % 4))


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body

"""HEP version 3, the encapsulation in which SIP capture agents report to a collector (Homer, heplify-server).

A packet is ``HEP3``, its whole length, and chunks of vendor, type, length and value, all in network order: "The Hepic
Encapsulation Protocol v3", sipcapture.org, revision 12. Vendor 0 is the generic one.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from datetime import datetime

#: Chunk types of vendor 0 (revision 12, section 4).
FAMILY, PROTOCOL, SOURCE_4, TARGET_4, SOURCE_6, TARGET_6, SOURCE_PORT, TARGET_PORT = range(1, 9)
SECONDS, MICROSECONDS, KIND, AGENT, KEEP_ALIVE, KEY, PAYLOAD, COMPRESSED, CORRELATION = range(9, 18)
KIND_SIP = 1
#: A UDP datagram carries no more.
MAX_PACKET = 65_507
_INET, _INET6 = 2, 10
_IP_PROTOCOL = {"UDP": 17, "TCP": 6, "TLS": 6}
_UNKNOWN = ipaddress.IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Captured:
    """One message on the wire. Hosts that are no IP literals are told as unknown (0.0.0.0)."""

    at: datetime
    source: tuple[str, int]
    target: tuple[str, int]
    transport: str
    payload: bytes
    correlation: str


def encode(message: Captured, agent: int, key: bytes = b"") -> bytes:
    """One packet. ``ValueError`` when it would not fit into a datagram."""
    source, target = _address(message.source[0]), _address(message.target[0])
    if source.version != target.version:
        # One of them is not known as an address: then it is unknown of the other's family.
        source, target = _of_family(source, target), _of_family(target, source)
    four = source.version == 4
    since = message.at.timestamp()
    chunks = [
        _chunk(FAMILY, bytes([_INET if four else _INET6])),
        _chunk(PROTOCOL, bytes([_IP_PROTOCOL.get(message.transport, 17)])),
        _chunk(SOURCE_4 if four else SOURCE_6, source.packed),
        _chunk(TARGET_4 if four else TARGET_6, target.packed),
        _chunk(SOURCE_PORT, struct.pack("!H", message.source[1])),
        _chunk(TARGET_PORT, struct.pack("!H", message.target[1])),
        _chunk(SECONDS, struct.pack("!I", int(since))),
        _chunk(MICROSECONDS, struct.pack("!I", message.at.microsecond)),
        _chunk(KIND, bytes([KIND_SIP])),
        _chunk(AGENT, struct.pack("!I", agent)),
    ]
    if key:
        chunks.append(_chunk(KEY, key))
    chunks.append(_chunk(CORRELATION, message.correlation.encode()))
    chunks.append(_chunk(PAYLOAD, message.payload))
    body = b"".join(chunks)
    if len(body) + 6 > MAX_PACKET:
        raise ValueError(f"a packet of {len(body) + 6} bytes does not fit into a datagram")
    return b"HEP3" + struct.pack("!H", len(body) + 6) + body


def _chunk(kind: int, value: bytes) -> bytes:
    if len(value) + 6 > 0xFFFF:
        raise ValueError(f"a chunk of {len(value)} bytes is too long")
    return struct.pack("!HHH", 0, kind, len(value) + 6) + value


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return _UNKNOWN


def _of_family(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address, other: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if one.version == 6:
        return one
    if other.version == 4:
        return one
    return ipaddress.IPv6Address(0) if one == _UNKNOWN else ipaddress.IPv6Address(f"::ffff:{one}")

"""Hostile datagrams: mutations of good ones, from a seed, so that every failure can be had again."""

from __future__ import annotations

import random
import struct
from pathlib import Path

_CORPUS = Path(__file__).parents[1] / "data" / "sip"


def _request(method: str, extra: list[str]) -> bytes:
    lines = [
        f"{method} sip:100@192.0.2.1 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bKphone",
        "Max-Forwards: 70",
        "From: <sip:200@t1.example>;tag=caller",
        "To: <sip:100@t1.example>",
        "Call-ID: call-1",
        f"CSeq: 1 {method}",
        "Contact: <sip:200@192.0.2.10:5062>",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\nm=video 5000 RTP/AVP 31\r\n"
)
SEEDS = [
    _request(method, extra) + body
    for method in ("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS")
    for extra, body in (
        ([], b""),
        (["Content-Type: application/sdp", f"Content-Length: {len(SDP)}"], SDP),
        (['Authorization: Digest username="1", realm="r", nonce="n", uri="sip:a", response="0"', "Require: x"], b""),
        (["Record-Route: <sip:p;lr>", "Route: <sip:q;lr>", "v: SIP/2.0/UDP h;branch=b", "m: *"], b""),
    )
]
#: The torture messages of RFC 4475 and RFC 5118.
TORTURE = [path.read_bytes() for path in sorted(_CORPUS.glob("rfc*/*.dat"))]
RTP = [
    bytes.fromhex("8000000100000000deadbeef") + b"\xff" * 160,
    bytes.fromhex("8008000200000000deadbeef") + b"\xd5" * 80,
    bytes.fromhex("80e5000300000000deadbeef050a00a0"),
    bytes.fromhex("b1000004000000a0deadbeef00000001bede00021022334444000000") + b"\x7f" * 160 + b"\x04" * 4,
    bytes.fromhex("800d000500000000deadbeef20"),
    bytes.fromhex("80c80006deadbeef") + bytes(20),
    bytes.fromhex("81c90007deadbeef") + bytes(24),
]


def _rtcp(first: int, kind: int, body: bytes) -> bytes:
    return struct.pack("!BBH", first, kind, len(body) // 4) + body


_WHO, _BLOCK = b"\xde\xad\xbe\xef", bytes(range(24))
_CNAME = _rtcp(0x81, 202, _WHO + b"\x01\x05phone\x00")
_SR = _WHO + bytes(range(20))
#: Compound packets: SR, RR with and without blocks (31 is the most), SDES, BYE with a reason, APP, an unknown type.
RTCP = [
    _rtcp(0x80, 201, _WHO) + _CNAME,
    _rtcp(0x81, 201, _WHO + _BLOCK) + _CNAME + _rtcp(0x81, 203, _WHO + b"\x03bye"),
    _rtcp(0x81, 200, _SR + _BLOCK) + _CNAME,
    _rtcp(0x9F, 201, _WHO + _BLOCK * 31) + _CNAME,
    _rtcp(0x80, 200, _SR) + _rtcp(0x80, 204, _WHO + b"name" + bytes(8)) + _rtcp(0x80, 207, bytes(12)),
    _rtcp(0x82, 200, _SR + _BLOCK * 2 + b"\x7f" * 16) + _rtcp(0x9F, 203, _WHO * 31),
]
SPLICES = [
    b"\r\n", b"\n", b"\0", b"\xff", b'"', b"<", b">", b";", b",", b":", b"@", b"%", b"%00", b"=", b" ", b"\t", b"\r\n ",
    b"\\", b"[", b"]", b"-1", b"0", b"99999999999999999999", b"SIP/2.0", b"sip:", b"tag=", b"branch=",
    b"z9hG4bK", b"rport", b"Content-Length: 1\r\n", b"l: 9\r\n",
    b"Via: ", b"\xe2\x80\xa8", b"\x85", b"a" * 300, b";;;;", b",,,,", b"*",
]  # fmt: skip


def mutate(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((0, 1, 1, 2, 8, 40)))
        kind = rng.random()
        if kind < 0.45:
            data = data[:at] + rng.choice(SPLICES) + data[to:]
        elif kind < 0.6:
            data = data[:at] + data[to:]
        elif kind < 0.75:
            data = data[:at] + rng.randbytes(rng.randint(1, 8)) + data[to:]
        elif kind < 0.85:
            data = data[:at] + data[at : at + 60] * 2 + data[at:]
        elif kind < 0.95:
            other = rng.choice(SEEDS)
            data = data[:at] + other[rng.randrange(len(other)) :]
        else:
            data = data[:at]
    return data


def fresh(rng: random.Random, data: bytes) -> bytes:
    """Another call and branch, mostly, so that more than repetitions arrive; few enough that some do repeat."""
    return data.replace(b"call-1", b"call-%d" % rng.randrange(300)).replace(b"phone", b"%d" % rng.randrange(300))


def damaged(rng: random.Random, packet: bytes) -> bytes:
    """An RTP or RTCP packet with some bits, bytes or its end wrong."""
    data = bytearray(packet)
    for _ in range(rng.randint(0, 4)):
        if data:
            data[rng.randrange(min(len(data), 24) if rng.random() < 0.7 else len(data))] = rng.randrange(256)
    if rng.random() < 0.2:
        return bytes(data[: rng.randrange(len(data) + 1)])
    return bytes(data) + rng.randbytes(rng.choice((0, 0, 0, 1, 3, 160, 1400)))

"""HEP3 packets, read by a decoder that is written here from the specification."""

from __future__ import annotations

import ipaddress
import struct
from datetime import UTC, datetime

import pytest

from sivo.sip.hep import Captured, encode
from sivo.sip.ladder import LadderEntry
from sivo.sip.peer import Peer
from sivo.sip.reading import parse

AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def decode(packet: bytes) -> dict[int, bytes]:
    """Chunks by type; every length is checked."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack("!H", packet[4:6]) == (len(packet),)
    chunks, rest = {}, packet[6:]
    while rest:
        vendor, kind, length = struct.unpack("!HHH", rest[:6])
        assert vendor == 0 and 6 <= length <= len(rest) and kind not in chunks
        chunks[kind], rest = rest[6:length], rest[length:]
    return chunks


def captured(source: str = "192.0.2.1", target: str = "198.51.100.2", transport: str = "UDP") -> Captured:
    return Captured(AT, (source, 5060), (target, 5080), transport, b"OPTIONS sip:a SIP/2.0\r\n\r\n", "call-1")


def test_a_packet_has_every_chunk_of_the_specification() -> None:
    chunks = decode(encode(captured(), 2001, b"secret"))
    assert {kind: value.hex() for kind, value in chunks.items()} == {
        1: "02", 2: "11", 3: "c0000201", 4: "c6336402", 7: "13c4", 8: "13d8",
        9: f"{int(AT.timestamp()):08x}", 10: f"{678_901:08x}", 11: "01", 12: f"{2001:08x}",
        14: b"secret".hex(), 15: b"OPTIONS sip:a SIP/2.0\r\n\r\n".hex(), 17: b"call-1".hex(),
    }  # fmt: skip
    assert 14 not in decode(encode(captured(), 1))


@pytest.mark.parametrize(
    ("source", "target", "family", "seen"),
    [
        ("2001:db8::1", "2001:db8::2", 10, ("2001:db8::1", "2001:db8::2")),
        ("sip.example.com", "192.0.2.7", 2, ("0.0.0.0", "192.0.2.7")),
        ("2001:db8::1", "node.example.com", 10, ("2001:db8::1", "::")),
        ("192.0.2.1", "2001:db8::2", 10, ("::ffff:192.0.2.1", "2001:db8::2")),
    ],
)
def test_addresses(source: str, target: str, family: int, seen: tuple[str, str]) -> None:
    chunks = decode(encode(captured(source, target), 1))
    kinds = (3, 4) if family == 2 else (5, 6)
    assert chunks[1] == bytes([family])
    assert tuple(str(ipaddress.ip_address(chunks[kind])) for kind in kinds) == tuple(
        str(ipaddress.ip_address(one)) for one in seen
    )


@pytest.mark.parametrize(("transport", "number"), [("UDP", 17), ("TCP", 6), ("TLS", 6)])
def test_transports(transport: str, number: int) -> None:
    assert decode(encode(captured(transport=transport), 1))[2] == bytes([number])


def test_what_fits_into_no_datagram_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not fit|too long"):
        encode(Captured(AT, ("192.0.2.1", 1), ("192.0.2.2", 2), "UDP", b"x" * 65_500, "c"), 1)


SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRETKEY\r\n"


def entry(body: str, kind: str) -> LadderEntry:
    text = (
        "INVITE sip:100@a.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
        "From: <sip:1@a.example>;tag=1\r\nTo: <sip:100@a.example>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n"
        'Authorization: Digest username="1", response="SECRETRESPONSE", nonce="n"\r\n'
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    return LadderEntry.of(parse(text.encode()), "in", Peer("192.0.2.1", 5060), AT)


def test_the_payload_is_a_sip_message_without_secrets() -> None:
    payload = entry(SDP, "application/sdp").wire
    assert b"SECRET" not in payload
    assert b"Authorization: Digest ***\r\n" in payload
    head, _, body = payload.partition(b"\r\n\r\n")
    assert b"\n" not in head.replace(b"\r\n", b"")
    again = parse(payload)
    assert len(again.body) == len(body) == int(again.headers.get("Content-Length") or -1)
    assert again.body.startswith(b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n")


def test_other_bodies_stay_here() -> None:
    payload = entry("Signal=4\r\nDuration=160\r\n", "application/dtmf-relay").wire
    assert b"Signal" not in payload and payload.endswith(b"Content-Length: 0\r\n\r\n")

"""RTP packets (RFC 3550), what a receiver counts, and whom it listens to."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.media import rtp
from sivo.media.latch import Latch
from sivo.media.rtp import ReceptionStats, RtpError, RtpPacket


def test_build_and_parse_are_inverse() -> None:
    data = rtp.build(8, 65535, 2**32 - 1, 0xDEADBEEF, b"audio", marker=True)
    assert rtp.parse(data) == RtpPacket(8, True, 65535, 2**32 - 1, 0xDEADBEEF, b"audio")


def test_csrc_extension_and_padding_are_taken_off() -> None:
    plain = bytearray(rtp.build(0, 1, 160, 7, b""))
    plain[0] = 0x80 | 0x20 | 0x10 | 2
    data = bytes(plain) + bytes(8) + b"\xbe\xde\x00\x01" + b"EXT!" + b"voice" + b"\x00\x00\x03"
    assert rtp.parse(data).payload == b"voice"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes"),
        (bytes(11), "11 bytes"),
        (bytes(1501), "1501 bytes"),
        (b"\x40" + bytes(20), "version"),
        (b"\x8f" + bytes(20), "CSRC"),
        (b"\x90" + bytes(13), "extension does not fit"),
        (b"\x90" + bytes(11) + b"\x00\x00\x00\x02" + bytes(4), "longer than the packet"),
        (b"\xa0" + bytes(11) + b"ab\x00", "padding"),
        (b"\xa0" + bytes(11) + b"ab\x04", "padding"),
        (b"\x80\xc8" + bytes(26), "RTCP"),
    ],
)
def test_what_does_not_fit_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(RtpError, match=why):
        rtp.parse(data)


@given(st.binary(max_size=200))
def test_any_datagram_is_a_packet_or_refused(data: bytes) -> None:
    try:
        packet = rtp.parse(data)
    except RtpError:
        return
    assert data[0] >> 6 == 2
    assert len(packet.payload) <= len(data) - 12


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_deltas_survive_wrapping(base: int, step: int) -> None:
    assert rtp.ts_delta((base + step) % 2**32, base) == step
    small = step % 2**16 - 2**15
    assert rtp.seq_delta((base + small) % 2**16, base % 2**16) == small


def test_reception_counts_loss_order_and_jitter() -> None:
    stats = ReceptionStats()
    rng = random.Random(1)
    order = [number for number in range(1000) if number % 20 != 7]
    order[100], order[101] = order[101], order[100]
    for number in order:
        arrival = number * 0.02 + rng.uniform(0, 0.010)
        stats.put(RtpPacket(0, False, (65000 + number) % 65536, number * 160, 1, b""), arrival)
    assert stats.lost == 50
    assert stats.reordered == 1
    assert 2.0 < stats.jitter_ms < 5.0  # mean |difference| of two uniform 0-10 ms is 3.3


def test_a_new_stream_is_no_loss() -> None:
    stats = ReceptionStats()
    for number in range(10):
        stats.put(RtpPacket(0, False, number, number * 160, 1, b""), number * 0.02)
    for number in range(10):
        stats.put(RtpPacket(0, False, 40000 + number, 7_000_000 + number * 160, 2, b""), 0.2 + number * 0.02)
    assert (stats.received, stats.lost) == (20, 0)
    assert stats.jitter_ms < 0.1


def test_latch_takes_the_first_source_of_the_negotiated_host_once() -> None:
    latch = Latch()
    assert not latch.accept(("10.0.0.1", 4000)), "nobody before the SDP"
    latch.negotiate("10.0.0.1", 4000)
    assert latch.destination == ("10.0.0.1", 4000)
    assert not latch.accept(("10.0.0.66", 4000))
    assert latch.accept(("10.0.0.1", 5555))
    assert latch.destination == ("10.0.0.1", 5555)
    assert not latch.accept(("10.0.0.1", 6666)), "a second port of the same host is a third address now"
    assert latch.accept(("10.0.0.1", 5555))
    assert latch.strangers == 3


def test_latch_behind_nat_takes_any_host_but_only_one() -> None:
    latch = Latch()
    latch.negotiate("192.168.1.9", 4000, any_host=True)
    assert latch.accept(("203.0.113.5", 61000))
    assert not latch.accept(("192.168.1.9", 4000))
    latch.negotiate("192.168.1.9", 4000, any_host=True)
    assert latch.latched == ("203.0.113.5", 61000), "a re-INVITE that changes nothing keeps the latch"
    latch.negotiate("192.168.1.9", 4002, any_host=True)
    assert latch.latched is None

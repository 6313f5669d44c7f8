"""RTCP: packets as the RFC lays them out, and what two legs learn of each other on a virtual clock."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.media import rtcp, rtp
from sivo.media.leg import Leg
from sivo.media.protocol import Remote
from sivo.media.rtcp import Block, Report, SenderInfo

A, B = ("192.0.2.1", 4000), ("192.0.2.2", 6000)
EPOCH = 1_700_000_000.0


def test_a_sender_report_is_laid_out_as_in_the_rfc() -> None:
    block = Block(7, 64, -3, 0x0001_0005, 80, 0x11223344, 65536)
    data = rtcp.build(Report(5, SenderInfo(0x0102030405060708, 160, 10, 1600), (block,)), "abc")
    first, kind, words, ssrc = struct.unpack_from("!BBHI", data)
    assert (first, kind, words, ssrc) == (0x81, 200, 12, 5)
    assert struct.unpack_from("!IIIII", data, 8) == (0x01020304, 0x05060708, 160, 10, 1600)
    assert struct.unpack_from("!IIIIII", data, 28) == (7, 64 << 24 | 0xFFFFFD, 0x10005, 80, 0x11223344, 65536)
    assert data[52:54] == b"\x81\xca" and data[60:65] == b"\x01\x03abc" and len(data) % 4 == 0
    assert rtcp.parse(data).reports == (Report(5, SenderInfo(0x0102030405060708, 160, 10, 1600), (block,)),)


def test_a_bye_ends_the_compound() -> None:
    compound = rtcp.parse(rtcp.build(Report(5, None, ()), "x", bye=True))
    assert compound.byes == (5,) and compound.reports[0].sender is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9\x00\x01\x00\x00\x00",
        b"\x40\xc9\x00\x01\x00\x00\x00\x05",  # version 1
        b"\x81\xc9\x00\x01\x00\x00\x00\x05",  # a block that is not there
        b"\x80\xc9\x00\x02\x00\x00\x00\x05",  # longer than the datagram
        b"\x80\xca\x00\x01\x00\x00\x00\x05",  # begins with SDES
        b"\xa0\xc9\x00\x01\x00\x00\x00\x05",  # padding in the first packet
    ],
)
def test_what_is_no_rtcp_is_refused(data: bytes) -> None:
    with pytest.raises(rtcp.RtcpError):
        rtcp.parse(data)


kinds = st.sampled_from([200, 201, 202, 203, 204, 205, 255])


@settings(max_examples=500)
@given(st.builds(lambda a, b, c, d: bytes((a, b)) + struct.pack("!H", c) + d,
                 st.integers(128, 191), kinds, st.integers(0, 20), st.binary(max_size=120)))  # fmt: skip
def test_no_datagram_breaks_the_reader(data: bytes) -> None:
    leg = Leg("a", 0)
    leg.set_remote(Remote(host=A[0], port=A[1], rtcp_mux=True))
    leg.datagram(data, A, 0.0)
    leg.control(data, A, 0.0)
    assert leg.stats().rtt_ms is None


def two_legs(**remote: object) -> tuple[Leg, Leg]:
    one, two = Leg("one", 0), Leg("two", 0)
    one.set_remote(Remote(**{"host": B[0], "port": B[1], **remote}))  # type: ignore[arg-type]
    two.set_remote(Remote(**{"host": A[0], "port": A[1], **remote}))  # type: ignore[arg-type]
    return one, two


def talk(one: Leg, two: Leg, seconds: float, *, delay: float, loss: float = 0.0, mux: bool = False) -> list[str]:
    """Both send audio and reports over a network with that delay each way; loss only towards ``two``."""
    rng, on_the_way, ports = random.Random(3), [], []
    for tick in range(int(seconds / 0.02)):
        now = tick * 0.02
        for leg, there, source in ((one, two, A), (two, one, B)):
            packet = leg.packet(tick, bytes(160), now)
            assert packet is not None
            if leg is not one or rng.random() >= loss:
                on_the_way.append((now + delay, there, packet[0], source, False))
            report = leg.report(now, EPOCH + now)
            if report is not None:
                data, (_, port), on_rtp = report
                ports.append("mux" if on_rtp else f"{port}")
                where = source if on_rtp else (source[0], source[1] + 1)
                on_the_way.append((now + delay, there, data, where, not on_rtp))
        while on_the_way and on_the_way[0][0] <= now:
            at, there, data, source, control = on_the_way.pop(0)
            (there.control if control else there.datagram)(data, source, at)
        one.hear(now)
        two.hear(now)
    return ports


def test_two_legs_measure_their_round_trip_and_tell_each_other_the_loss() -> None:
    one, two = two_legs()
    ports = talk(one, two, 60, delay=0.04, loss=0.1)
    assert set(ports) == {"6001", "4001"} and 16 <= len(ports) <= 48
    for leg in (one, two):
        assert leg.stats().rtt_ms == pytest.approx(80, abs=21)  # the test hands over on ticks
        assert leg.stats().malformed == 0
    assert two.stats().lost == pytest.approx(300, abs=60)
    assert one.stats().remote_lost == pytest.approx(two.stats().lost, rel=0.25)
    assert two.stats().remote_lost == 0


def test_rtcp_mux_uses_the_rtp_port() -> None:
    one, two = two_legs(rtcp_mux=True)
    assert set(talk(one, two, 20, delay=0.02, mux=True)) == {"mux"}
    assert one.stats().rtcp_received > 0 and one.stats().malformed == 0


def test_an_announced_rtcp_port_is_used() -> None:
    one, _ = two_legs(rtcp_port=9999)
    one.packet(0, bytes(160), 0.0)
    one.report(0.0, EPOCH)
    report = one.report(30.0, EPOCH)
    assert report is not None and report[1] == (B[0], 9999)


def test_reports_of_strangers_and_invented_round_trips_change_nothing() -> None:
    one, _ = two_legs()
    one.datagram(rtp.build(0, 1, 160, 9, bytes(160)), B, 0.0)
    sent = one.packet(0, bytes(160), 0.0)
    assert sent is not None
    ssrc = int.from_bytes(sent[0][8:12], "big")
    forged = rtcp.build(Report(9, None, (Block(ssrc, 255, 4000, 1, 1, 12345, 1),)), "x")
    one.control(forged, ("198.51.100.7", 6001), 1.0)
    assert one.stats().rtcp_received == 0 and one.stats().remote_lost == 0
    one.control(forged, (B[0], B[1] + 1), 1.0)
    assert one.stats().rtt_ms is None and one.stats().remote_lost == 4000
    one.control(forged, (B[0], 7777), 1.0)
    assert one.stats().rtcp_received == 1, "the first port that reports is the only one"


def test_a_silent_leg_sends_receiver_reports_and_a_bye_at_the_end() -> None:
    one, _ = two_legs(send=False)
    one.datagram(rtp.build(0, 1, 160, 9, bytes(160)), B, 0.0)
    one.report(0.0, EPOCH)
    report = one.report(30.0, EPOCH + 30)
    assert report is not None
    compound = rtcp.parse(report[0])
    assert compound.reports[0].sender is None and compound.reports[0].blocks[0].ssrc == 9
    last = one.report(30.1, EPOCH + 30.1, bye=True)
    assert last is not None and rtcp.parse(last[0]).byes

"""66,000 hostile datagrams into legs: 24,000 RTP, 18,000 RTCP, 24,000 SRTP and SRTCP. No crash, bounded buffers,
nothing believed that was not authentic, and the right voice is still heard."""

import random

import pytest

from sivo.media import rtcp
from sivo.media.leg import Leg
from sivo.media.protocol import Remote, SrtpKeys
from support.hostile import RTCP, RTP, damaged
from support.srtp_reference import Stream

PEER = ("192.0.2.10", 4000)
STRANGER = ("198.51.100.1", 4000)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_packets_do_not_crash_a_leg(seed: int) -> None:
    rng = random.Random(seed)
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host=PEER[0], port=PEER[1]))
    now = 0.0
    for number in range(8000):
        leg.datagram(damaged(rng, rng.choice(RTP)), PEER if rng.random() < 0.8 else STRANGER, now)
        if number % 2:
            now += 0.02
            assert len(leg.hear(now).ulaw) == 160
            leg.presses(now)
            leg.packet(number // 2, bytes(160))
    stats = leg.stats()
    assert stats.malformed > 500
    assert stats.packets_received > 500


def test_the_voice_is_heard_again_after_the_storm() -> None:
    rng = random.Random(99)
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host=PEER[0], port=PEER[1]))
    for _ in range(500):
        leg.datagram(damaged(rng, rng.choice(RTP)), PEER, 0.0)
    heard = 0
    for number in range(500):
        packet = bytes([0x80, 0]) + (9000 + number).to_bytes(2, "big")
        packet += (700_000 + 160 * number).to_bytes(4, "big") + b"voic" + b"\x42" * 160
        leg.datagram(packet, PEER, 1 + number * 0.02)
        heard += leg.hear(1.01 + number * 0.02).ulaw == b"\x42" * 160
    assert heard > 400


@pytest.mark.parametrize("mux", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_reports_are_read_or_refused(seed: int, mux: bool) -> None:
    rng = random.Random(100 + seed)
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host=PEER[0], port=PEER[1], rtcp_mux=mux))
    leg.datagram(RTP[0], PEER, 0.0)
    source = PEER if mux else (PEER[0], PEER[1] + 1)
    read = 0
    for number in range(3000):
        data, now = damaged(rng, rng.choice(RTCP)), number * 0.1
        try:
            compound = rtcp.parse(data)
        except rtcp.RtcpError:
            pass
        else:
            read += 1
            assert sum(len(report.blocks) for report in compound.reports) * 24 < len(data)
            assert len(compound.byes) * 4 < len(data)
        leg.control(data, source, now)
        if mux:
            leg.datagram(data, source, now)
        report = leg.report(now, now)
        assert report is None or rtcp.parse(report[0]).reports
    assert read > 300
    assert leg.stats().rtcp_received > 300
    assert leg.stats().malformed > 300


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"])
@pytest.mark.parametrize("seed", range(2))
def test_damaged_srtp_is_never_heard(seed: int, suite: str) -> None:
    rng = random.Random(200 + seed)
    size = 44 if suite.startswith("AEAD") else 30
    ours, theirs = rng.randbytes(size), rng.randbytes(size)
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host=PEER[0], port=PEER[1], srtp=SrtpKeys(suite=suite, ours=ours, theirs=theirs)))
    phone, heard, reported = Stream(suite, theirs), 0, 0
    for number in range(3000):
        header = bytes([0x80, 0]) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"voic"
        sealed = phone.protect(header + b"\x42" * 160)
        report = phone.protect_control(rng.choice(RTCP[:3]))
        hurt, worse = damaged(rng, sealed), damaged(rng, report)
        leg.datagram(hurt, PEER, number * 0.02)
        leg.control(worse, (PEER[0], PEER[1] + 1), number * 0.02)
        heard += hurt == sealed
        reported += worse == report
        assert leg.stats().packets_received == heard
        assert leg.stats().rtcp_received == reported
        if number % 10 == 0 and hurt != sealed:
            leg.datagram(sealed, PEER, number * 0.02)
            heard += 1
            leg.datagram(sealed, PEER, number * 0.02)  # and again: a replay
    assert heard > 250
    assert leg.stats().unauthentic > 4000
    assert leg.hear(3000 * 0.02 + 1.0) is not None

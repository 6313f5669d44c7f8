"""SRTP of a leg against the vectors of RFC 3711 and a second implementation that is written down from the RFCs."""

from __future__ import annotations

import struct

import pytest

from sivo.media import rtcp
from sivo.media.leg import Leg
from sivo.media.protocol import Remote, SrtpKeys
from sivo.media.srtp import MAX_STREAMS, Srtp, SrtpError
from support.srtp_reference import KEY, Stream, derive, keystream

SUITES = list(KEY)
PEER = ("192.0.2.10", 4000)
SALT = {"AEAD_AES_128_GCM": 12, "AEAD_AES_256_GCM": 12}


def key(suite: str, number: int = 1) -> bytes:
    return bytes((number * 7 + n) & 0xFF for n in range(KEY[suite] + SALT.get(suite, 14)))


def keys(suite: str = SUITES[0], ours: int = 1, theirs: int = 2) -> SrtpKeys:
    return SrtpKeys(suite=suite, ours=key(suite, ours), theirs=key(suite, theirs))


def rtp(sequence: int, ssrc: int = 0xCAFEBABE, payload: bytes = b"\x42" * 160) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, 160 * sequence & 0xFFFFFFFF, ssrc) + payload


def leg(secret: SrtpKeys | None, *, mux: bool = False) -> Leg:
    made = Leg("caller", 0)
    made.set_remote(Remote(host=PEER[0], port=PEER[1], srtp=secret, rtcp_mux=mux))
    return made


def hears(one: Leg, sequence: int, data: bytes) -> int:
    """Packets that were heard so far, after this one."""
    one.datagram(data, PEER, sequence * 0.02)
    return one.stats().packets_received


# --- the vectors of the RFC: the judge itself is right ---


def test_keystream_of_rfc_3711_b2() -> None:
    stream = keystream(bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), 0xF0F1F2F3F4F5F6F7F8F9FAFBFCFD0000, 48)
    assert stream.hex().upper() == (
        "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
    )


def test_key_derivation_of_rfc_3711_b3() -> None:
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    assert derive(master, salt, 0, 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert derive(master, salt, 2, 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert derive(master, salt, 1, 20).hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


def test_a_packet_under_the_keys_of_rfc_3711_b3() -> None:
    """The packet that libsrtp's own tests take for these keys."""
    secret = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6")
    plain = bytes.fromhex("800F1234DECAFBADCAFEBABE") + b"\xab" * 16
    sealed = "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"
    assert Stream(SUITES[0], secret).protect(plain).hex() == sealed
    ours = Srtp(SrtpKeys(suite=SUITES[0], ours=secret, theirs=secret))
    assert ours.protect(plain).hex() == sealed
    assert ours.unprotect(bytes.fromhex(sealed)) == plain


# --- both ways, all suites ---


@pytest.mark.parametrize("suite", SUITES)
def test_a_leg_and_the_reference_understand_each_other(suite: str) -> None:
    one = leg(keys(suite))
    theirs, ours = Stream(suite, key(suite, 2)), Stream(suite, key(suite, 1))
    for number in range(40):
        one.datagram(theirs.protect(rtp(number)), PEER, number * 0.02)
        heard = one.hear(number * 0.02 + 0.01)
        packet = one.packet(number, b"\x37" * 160, number * 0.02)
        assert packet is not None
        assert ours.unprotect(packet[0])[12:] == b"\x37" * 160
        assert b"\x37" * 16 not in packet[0]
    assert heard.ulaw == b"\x42" * 160
    assert (one.stats().packets_received, one.stats().unauthentic) == (40, 0)


@pytest.mark.parametrize("suite", SUITES)
def test_srtcp_goes_both_ways_and_a_changed_report_is_not_believed(suite: str) -> None:
    one, theirs, ours = leg(keys(suite)), Stream(suite, key(suite, 2)), Stream(suite, key(suite, 1))
    one.datagram(theirs.protect(rtp(1)), PEER, 0.0)
    one.report(0.0, 1000.0)
    sent = one.report(60.0, 1060.0)
    assert sent is not None
    assert rtcp.parse(ours.unprotect_control(sent[0])).reports[0].blocks[0].ssrc == 0xCAFEBABE
    report = theirs.protect_control(rtcp.build(rtcp.Report(7, None, ()), "phone"))
    one.control(report[:-1] + bytes([report[-1] ^ 1]), (PEER[0], PEER[1] + 1), 61.0)
    assert (one.stats().rtcp_received, one.stats().unauthentic) == (0, 1)
    one.control(report, (PEER[0], PEER[1] + 1), 61.0)
    assert (one.stats().rtcp_received, one.stats().unauthentic) == (1, 1)
    one.control(report, (PEER[0], PEER[1] + 1), 61.5)  # said again by somebody who has listened
    assert (one.stats().rtcp_received, one.stats().unauthentic) == (1, 2)


def test_srtcp_on_the_rtp_port() -> None:
    one, theirs = leg(keys(), mux=True), Stream(SUITES[0], key(SUITES[0], 2))
    assert hears(one, 1, theirs.protect(rtp(1))) == 1
    one.datagram(theirs.protect_control(rtcp.build(rtcp.Report(7, None, ()), "phone")), PEER, 1.0)
    assert (one.stats().rtcp_received, one.stats().unauthentic) == (1, 0)


def test_the_header_is_authentic_too_and_clear_rtp_is_not_heard() -> None:
    one, theirs = leg(keys()), Stream(SUITES[0], key(SUITES[0], 2))
    sealed = theirs.protect(rtp(1))
    for at in (1, 2, 5, 9, 60, len(sealed) - 1):
        damaged = bytearray(sealed)
        damaged[at] ^= 1
        assert hears(one, 1, bytes(damaged)) == 0
    assert hears(one, 1, rtp(1)) == 0
    assert one.stats().unauthentic == 7
    assert hears(one, 1, sealed) == 1


def test_a_stranger_without_the_key_is_not_latched_onto() -> None:
    one, theirs = leg(keys()), Stream(SUITES[0], key(SUITES[0], 2))
    one.datagram(Stream(SUITES[0], key(SUITES[0], 9)).protect(rtp(1)), (PEER[0], 9999), 0.0)
    assert hears(one, 2, theirs.protect(rtp(2))) == 1
    packet = one.packet(1, bytes(160))
    assert packet is not None
    assert packet[1] == PEER


# --- counters ---


def test_repeated_and_too_old_packets_are_refused() -> None:
    one, theirs = leg(keys()), Stream(SUITES[0], key(SUITES[0], 2))
    sealed = [theirs.protect(rtp(number)) for number in range(300)]
    heard = 0
    for number in (0, 1, 3, 2, 200, 199):  # out of order is heard, within the window
        heard += 1
        assert hears(one, number, sealed[number]) == heard
    for number in (0, 3, 2, 200, 199, 40):  # seen before, or older than the window of 128
        assert hears(one, number, sealed[number]) == heard
    assert one.stats().unauthentic == 6


@pytest.mark.parametrize("suite", [SUITES[0], "AEAD_AES_256_GCM"])
def test_hours_long_both_directions_go_on_when_the_sequence_wraps(suite: str) -> None:
    """25 minutes in virtual time: the sequence numbers wrap twice, the reference counts the rollovers for itself. One
    of 25 packets arrives, and each of those around a wrap."""
    one, theirs, ours = leg(keys(suite)), Stream(suite, key(suite, 2)), Stream(suite, key(suite, 1))
    seen = 0
    for number in range(60_000, 135_000):
        near = (number + 40) % 65536 < 80
        if number % 25 and not near:
            theirs._counted(rtp(number))  # lost on the way
            continue
        one.datagram(theirs.protect(rtp(number)), PEER, number * 0.02)
        seen += 1
    assert theirs.roc == 2
    assert one.stats().packets_received == seen > 3000
    assert one.stats().unauthentic == 0
    for number in range(70_000):
        packet = one.packet(number, b"\x11" * 20)
        assert packet is not None
        if number % 500 == 0 or ours.roc != 0:
            opened = ours.unprotect(packet[0])
            assert opened[12:] == b"\x11" * 20
        else:
            ours._counted(packet[0])
        if ours.roc and number % 500 == 1:
            break
    assert ours.roc == 1


def test_new_keys_in_mid_call() -> None:
    one = leg(keys())
    theirs = Stream(SUITES[0], key(SUITES[0], 2))
    for number in range(70_000, 70_003):
        hears(one, number, theirs.protect(rtp(number)))
    before = one.packet(1, bytes(160))
    again = keys(ours=1, theirs=3)
    one.set_remote(Remote(host=PEER[0], port=PEER[1], srtp=again))
    assert hears(one, 70_003, theirs.protect(rtp(70_003))) == 3  # the old key is over
    assert hears(one, 70_004, Stream(SUITES[0], key(SUITES[0], 3)).protect(rtp(70_004))) == 4
    after = one.packet(2, bytes(160))
    assert before is not None
    assert after is not None
    assert before[0][8:12] == after[0][8:12]  # ours has stayed: the same stream goes on
    one.set_remote(Remote(host=PEER[0], port=PEER[1], srtp=keys(SUITES[3], ours=4, theirs=3)))
    renewed = one.packet(3, b"\x22" * 160)
    assert renewed is not None
    assert renewed[0][8:12] != after[0][8:12]
    assert Stream(SUITES[3], key(SUITES[3], 4)).unprotect(renewed[0])[12:] == b"\x22" * 160
    one.set_remote(Remote(host=PEER[0], port=PEER[1]))
    clear = one.packet(4, b"\x23" * 160)
    assert clear is not None
    assert clear[0][12:] == b"\x23" * 160
    assert hears(one, 70_005, rtp(70_005)) == 5


def test_the_same_keys_again_keep_counters_and_the_memory_of_replays() -> None:
    one, theirs = leg(keys()), Stream(SUITES[0], key(SUITES[0], 2))
    sealed = theirs.protect(rtp(5))
    assert hears(one, 5, sealed) == 1
    one.set_remote(Remote(host=PEER[0], port=PEER[1], send=False, srtp=keys()))
    one.set_remote(Remote(host=PEER[0], port=PEER[1], srtp=keys()))
    assert hears(one, 6, sealed) == 1
    assert one.stats().unauthentic == 1


def test_streams_under_one_key_are_bounded() -> None:
    one = Srtp(keys())
    for ssrc in range(MAX_STREAMS):
        one.unprotect(Stream(SUITES[0], key(SUITES[0], 2)).protect(rtp(1, ssrc)))
    with pytest.raises(SrtpError, match="streams"):
        one.unprotect(Stream(SUITES[0], key(SUITES[0], 2)).protect(rtp(1, MAX_STREAMS)))
    one.unprotect(Stream(SUITES[0], key(SUITES[0], 2)).protect(rtp(2, 0)))


# --- keys ---


def test_keys_that_fit_no_suite_are_refused_and_none_is_ever_shown() -> None:
    with pytest.raises(ValueError, match="no crypto suite"):
        leg(SrtpKeys(suite="F8_128_HMAC_SHA1_80", ours=bytes(30), theirs=bytes(30)))
    with pytest.raises(ValueError, match="30 bytes"):
        leg(SrtpKeys(suite=SUITES[0], ours=bytes(29), theirs=bytes(30)))
    shown = repr(Remote(host=PEER[0], port=PEER[1], srtp=keys()))
    assert "SrtpKeys(suite='AES_CM_128_HMAC_SHA1_80')" in shown
    assert "ours" not in shown

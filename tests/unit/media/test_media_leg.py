"""A leg under hostile and odd datagrams, and what its counters say."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.media import codec, rtp
from sivo.media.jitter import Kind
from sivo.media.leg import Leg
from sivo.media.protocol import Remote

PEER = ("192.0.2.1", 4000)


def a_leg(**remote: object) -> Leg:
    leg = Leg("a", 0)
    leg.set_remote(Remote(**{"host": PEER[0], "port": PEER[1], **remote}))  # type: ignore[arg-type]
    return leg


packets = st.builds(
    lambda first, second, rest, payload: struct.pack("!BBHII", first, second, *rest) + payload,
    st.sampled_from([0x80, 0x80, 0x80, 0x90, 0xA0, 0x85, 0x40]),
    st.sampled_from([0, 8, 101, 13, 0x80, 0x80 | 101, 200, 96]),
    st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 3)),
    st.binary(max_size=1100),
)


@settings(max_examples=300)
@given(st.lists(st.one_of(packets, st.binary(max_size=64)), max_size=60))
def test_no_datagram_breaks_a_leg_and_every_tick_has_its_frame(datagrams: list[bytes]) -> None:
    leg = a_leg()
    for number, data in enumerate(datagrams):
        leg.datagram(data, PEER, number * 0.007)
        frame = leg.hear(number * 0.02)
        assert len(frame.payload) == len(frame.ulaw) == 160
        assert len(frame.pcm16) == 320
        leg.presses(number * 0.02)
    stats = leg.stats()
    assert stats.packets_received + stats.malformed + stats.strangers == len(datagrams)
    assert stats.lost >= 0


def test_nothing_is_heard_before_the_sdp_or_while_we_do_not_receive() -> None:
    leg = Leg("a", 0)
    data = rtp.build(0, 1, 160, 7, bytes(160))
    leg.datagram(data, PEER, 0.0)
    assert leg.stats().packets_received == 0
    held = a_leg(receive=False)
    held.datagram(data, PEER, 0.0)
    assert held.stats().packets_received == 0


def test_other_payload_types_are_counted_and_do_not_latch() -> None:
    leg = a_leg(behind_nat=True)
    leg.datagram(rtp.build(96, 1, 160, 7, bytes(160)), ("203.0.113.9", 9), 0.0)
    assert leg.stats().malformed == 1
    leg.datagram(rtp.build(0, 1, 160, 7, bytes(160)), ("203.0.113.5", 5), 0.0)
    packet = leg.packet(0, codec.SILENCE_ULAW)
    assert packet is not None and packet[1] == ("203.0.113.5", 5)


def test_digits_need_an_agreement() -> None:
    leg = a_leg(dtmf_payload_type=None)
    assert not leg.takes_digits
    leg.datagram(rtp.build(101, 1, 160, 7, b"\x01\x8a\x03\x20"), PEER, 0.0)
    assert leg.presses(1.0) == []
    assert leg.stats().malformed == 1


@pytest.mark.parametrize("wrong", [{"host": "phone.example"}, {"port": 0}, {"port": 70000}, {"payload_type": 18}])
def test_what_cannot_be_sent_to_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"address|port|G\.711"):
        a_leg(**wrong)


def test_codec_of_the_peer_is_sent_and_both_are_understood() -> None:
    leg = a_leg(payload_type=8)
    packet = leg.packet(5, codec.SILENCE_ALAW)
    assert packet is not None and rtp.parse(packet[0]).payload_type == 8
    loud = codec.encode(0, b"\x00\x40" * 160)
    for number in range(10):
        leg.datagram(rtp.build(0, number, number * 160, 7, loud), PEER, number * 0.02)
        frame = leg.hear(number * 0.02 + 0.01)
    assert frame.kind is Kind.VOICE and frame.payload == loud


def test_a_phone_on_hold_may_be_silent_for_as_long_as_it_likes() -> None:
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host="192.0.2.10", port=4000))
    assert leg.silent_ms(0.0) is None
    leg.set_remote(Remote(host="192.0.2.10", port=4000, send=False))  # it holds us: sendonly, and plays nothing
    assert leg.silent_ms(3600.0) is None
    leg.set_remote(Remote(host="192.0.2.10", port=4000))
    assert leg.silent_ms(3601.0) is None  # the time counts from the end of the hold
    assert leg.silent_ms(3632.0) == 31_000

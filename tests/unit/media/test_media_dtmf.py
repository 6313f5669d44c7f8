"""Telephone events (RFC 4733): one digit per key press, whatever the network does to its packets."""

from __future__ import annotations

import itertools
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.media.dtmf import DIGITS, DtmfReceiver, DtmfSender, Press
from sivo.media.keypad import Keypad, Way
from sivo.media.rtp import RtpPacket


def event(digit: str, timestamp: int, packets: int = 5, ends: int = 3, ssrc: int = 1) -> list[RtpPacket]:
    """One press; :func:`sent` numbers the packets."""
    number = DIGITS.index(digit)
    updates = [struct.pack("!BBH", number, 10, 160 * (n + 1)) for n in range(packets)]
    payloads = updates + [struct.pack("!BBH", number, 0x8A, 160 * packets)] * ends
    return [RtpPacket(101, n == 0, 0, timestamp, ssrc, payload) for n, payload in enumerate(payloads)]


def raw(*payloads: tuple[int, bytes]) -> list[RtpPacket]:
    """Packets of a timestamp and a payload each."""
    return [RtpPacket(101, False, 0, timestamp, 1, payload) for timestamp, payload in payloads]


def sent(*groups: list[RtpPacket], first: int = 65530) -> list[RtpPacket]:
    """All of them in the order in which they leave, with their sequence numbers; these wrap."""
    packets = itertools.chain.from_iterable(groups)
    return [packet._replace(sequence=(first + n) & 0xFFFF) for n, packet in enumerate(packets)]


def receive(packets: list[RtpPacket], step: float = 0.02) -> list[Press]:
    """All presses, with half a second of quiet behind the last packet."""
    receiver = DtmfReceiver()
    presses: list[Press] = []
    now = 0.0
    for packet in packets:
        presses += receiver.put(packet, now)
        now += step
        presses += receiver.poll(now)
    return presses + receiver.poll(now + 0.5)


def keys(presses: list[Press]) -> str:
    return "".join(press.digit for press in presses)


def test_an_event_is_one_digit_with_its_duration() -> None:
    assert receive(sent(event("5", 1000))) == [Press("5", 100)]


def test_all_digits_in_a_row() -> None:
    packets = sent(*(event(digit, 1000 + 2000 * n) for n, digit in enumerate(DIGITS)))
    assert keys(receive(packets)) == DIGITS


def test_same_key_twice_is_two_digits() -> None:
    assert receive(sent(event("1", 0), event("1", 1600))) == [Press("1", 100)] * 2


def test_lost_ends() -> None:
    assert receive(sent(event("3", 0, ends=0))) == [Press("3", 100)]
    assert receive(sent(event("3", 0, ends=0), event("4", 1600))) == [Press("3", 100), Press("4", 100)]


def test_only_an_end_arrives() -> None:
    assert receive(sent(event("8", 0))[-1:]) == [Press("8", 100)]


def test_late_and_repeated_packets_of_a_finished_event_say_nothing() -> None:
    packets = sent(event("1", 0), event("2", 1600))
    assert keys(receive([*packets, *packets])) == "12"


@pytest.mark.parametrize("pressed", ["12", "11", "*2101#", "##", "5555"])
@pytest.mark.parametrize("ends", [0, 1, 3])
def test_keys_back_to_back_whose_timestamp_stands_still_are_all_counted(pressed: str, ends: int) -> None:
    """As of a phone whose sound source starves: its clock is that of the sound, and the keys go on without it."""
    packets = sent(*(event(key, 4711, ends=ends) for key in pressed))
    assert keys(receive(packets)) == pressed
    assert keys(receive(packets, step=0.0)) == pressed  # the machine stood still, then all came at once


def test_repeated_ends_of_a_key_whose_marker_is_always_set_are_one_key() -> None:
    packets = [packet._replace(marker=True) for packet in sent(event("6", 0, ends=5))]
    assert keys(receive(packets)) == "6"


def test_a_key_that_was_given_up_and_goes_on_is_one_key() -> None:
    receiver, presses = DtmfReceiver(), []
    for n, packet in enumerate(sent(event("4", 0, packets=20))):
        presses += receiver.put(packet, n * 0.2)
        presses += receiver.poll(n * 0.2 + 0.19)
    assert keys(presses) == "4"


def test_a_key_whose_only_packet_comes_behind_the_next_ones_first_is_not_lost() -> None:
    one, two = sent(event("1", 0), event("2", 1280))[7:8], sent(event("1", 0), event("2", 1280))[8:]
    assert keys(receive([two[0], *one, *two[1:], *one])) == "12"


def test_a_new_stream_with_an_older_clock_is_heard_at_once() -> None:
    before, after = event("1", 900_000, ends=0), event("2", 5, ssrc=2)
    assert keys(receive(sent(before, after), step=0.01)) == "12"


def test_events_that_are_no_digit_and_short_payloads_are_ignored() -> None:
    assert receive(sent(raw((0, b"\x10\x8a\x03\x20"), (0, b"\x01\x8a"), (0, b"")))) == []


def test_a_press_longer_than_one_segment_is_one_digit() -> None:
    number = DIGITS.index("7")
    first = [(100, struct.pack("!BBH", number, 10, duration)) for duration in (160, 40000, 65535)]
    second = [(100 + 65535, struct.pack("!BBH", number, flags, 4000)) for flags in (10, 0x8A, 0x8A)]
    packets = sent(raw(*first, *second))
    assert receive(packets + packets[:3]) == [Press("7", (65535 + 4000) // 8)]


def test_timestamps_that_wrap() -> None:
    near = 2**32 - 800
    packets = sent(event("1", near), event("2", (near + 1600) % 2**32))
    assert keys(receive(packets)) == "12"


@settings(max_examples=300)
@given(st.text(DIGITS, min_size=1, max_size=6), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_impaired_network_never_loses_or_doubles_a_digit(pressed: str, start: int, rng: random.Random) -> None:
    """Every event keeps at least one packet; the others may be lost, doubled or swapped within the event. The pause
    between two is anything from none."""
    at, groups = start, []
    for key in pressed:
        groups.append(event(key, at % 2**32))
        at += 160 * (8 + rng.choice((0, 0, 1, 4, 20)))
    packets = sent(*groups, first=rng.randrange(65536))
    arriving: list[RtpPacket] = []
    for n in range(len(pressed)):
        one = packets[8 * n : 8 * n + 8]
        kept = [packet for packet in one if rng.random() > 0.5] or [rng.choice(one)]
        kept += [packet for packet in kept if rng.random() < 0.3]
        rng.shuffle(kept)
        arriving += kept
    assert keys(receive(arriving, step=rng.choice((0.0, 0.005, 0.02)))) == pressed


@pytest.mark.parametrize("order", ["E1 E2 I1 I2", "I1 I2 E1 E2", "E1 I1 E2 I2", "E1 E1 I1 I1", "E1 E2 E1 I1 I2 I1"])
def test_keys_that_come_both_ways_back_to_back_count_once(order: str) -> None:
    keypad, ways = Keypad(), {"E": Way.EVENT, "I": Way.INFO}
    for n, one in enumerate(order.split()):
        keypad.put(Press(one[1], 100), ways[one[0]], n * 0.1)
    once = [one[1] for one in order.split() if one[0] == order[0]]
    assert [press.digit for press, _ in keypad.take()] == once


def test_the_same_key_another_way_later_is_another_press() -> None:
    keypad = Keypad()
    keypad.put(Press("1", 100), Way.EVENT, 0.0)
    keypad.put(Press("1", 100), Way.INFO, 0.7)
    assert [press.digit for press, _ in keypad.take()] == ["1", "1"]


def test_sender_and_receiver_agree() -> None:
    sender = DtmfSender()
    sender.queue("19#d")
    packets: list[tuple[int, bytes]] = []
    for tick in range(200):
        packet = sender.next(tick * 160)
        if packet is not None:
            packets.append((packet.timestamp, packet.payload))
    assert not sender.busy
    assert [(press.digit, press.duration_ms) for press in receive(sent(raw(*packets)))] == [(d, 100) for d in "19#D"]
    by_event = [list(group) for _, group in itertools.groupby(packets, key=lambda packet: packet[0])]
    assert [sum(payload[1] >> 7 for _, payload in one) for one in by_event] == [3, 3, 3, 3]
    with pytest.raises(ValueError, match="not a DTMF digit: X"):
        sender.queue("12X")

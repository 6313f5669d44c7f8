"""Telephone events (RFC 4733): one digit per key press, whatever the network does to its packets."""

from __future__ import annotations

import itertools
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.media.dtmf import DIGITS, DtmfReceiver, DtmfSender, Press

Packet = tuple[int, bytes]  # timestamp, payload


def event(digit: str, timestamp: int, packets: int = 5, ends: int = 3) -> list[Packet]:
    number = DIGITS.index(digit)
    updates = [(timestamp, struct.pack("!BBH", number, 10, 160 * (n + 1))) for n in range(packets)]
    return updates + [(timestamp, struct.pack("!BBH", number, 0x8A, 160 * packets))] * ends


def receive(packets: list[Packet], step: float = 0.02) -> list[Press]:
    """All presses, with half a second of quiet behind the last packet."""
    receiver = DtmfReceiver()
    presses: list[Press] = []
    now = 0.0
    for timestamp, payload in packets:
        presses += receiver.put(timestamp, payload, now)
        now += step
        presses += receiver.poll(now)
    return presses + receiver.poll(now + 0.5)


def test_an_event_is_one_digit_with_its_duration() -> None:
    assert receive(event("5", 1000)) == [Press("5", 100)]


def test_all_digits_in_a_row() -> None:
    packets = itertools.chain.from_iterable(event(digit, 1000 + 2000 * n) for n, digit in enumerate(DIGITS))
    assert "".join(press.digit for press in receive(list(packets))) == DIGITS


def test_same_key_twice_is_two_digits() -> None:
    assert receive(event("1", 0) + event("1", 1600)) == [Press("1", 100)] * 2


def test_lost_ends() -> None:
    assert receive(event("3", 0, ends=0)) == [Press("3", 100)]
    assert receive(event("3", 0, ends=0) + event("4", 1600)) == [Press("3", 100), Press("4", 100)]


def test_only_an_end_arrives() -> None:
    assert receive(event("8", 0)[-1:]) == [Press("8", 100)]


def test_late_and_repeated_packets_of_a_finished_event_say_nothing() -> None:
    first, second = event("1", 0), event("2", 1600)
    assert [press.digit for press in receive([*first, *second, *first, *second])] == ["1", "2"]


def test_events_that_are_no_digit_and_short_payloads_are_ignored() -> None:
    assert receive([(0, b"\x10\x8a\x03\x20"), (0, b"\x01\x8a"), (0, b"")]) == []


def test_a_press_longer_than_one_segment_is_one_digit() -> None:
    number = DIGITS.index("7")
    first = [(100, struct.pack("!BBH", number, 10, duration)) for duration in (160, 40000, 65535)]
    second = [(100 + 65535, struct.pack("!BBH", number, flags, 4000)) for flags in (10, 0x8A, 0x8A)]
    assert receive(first + second + first) == [Press("7", (65535 + 4000) // 8)]


def test_timestamps_that_wrap() -> None:
    near = 2**32 - 800
    packets = event("1", near) + event("2", (near + 1600) % 2**32)
    assert [press.digit for press in receive(packets)] == ["1", "2"]


@settings(max_examples=300)
@given(st.text(DIGITS, min_size=1, max_size=6), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_impaired_network_never_loses_or_doubles_a_digit(keys: str, start: int, rng: random.Random) -> None:
    """Every event keeps at least one packet; the others may be lost, doubled or swapped within the event."""
    packets: list[Packet] = []
    for n, key in enumerate(keys):
        one = event(key, (start + 2000 * n) % 2**32)
        kept = [packet for packet in one if rng.random() > 0.5] or [rng.choice(one)]
        kept += [packet for packet in kept if rng.random() < 0.3]
        rng.shuffle(kept)
        packets += kept
    assert "".join(press.digit for press in receive(packets)) == keys


def test_sender_and_receiver_agree() -> None:
    sender = DtmfSender()
    sender.queue("19#d")
    packets: list[Packet] = []
    for tick in range(200):
        packet = sender.next(tick * 160)
        if packet is not None:
            packets.append((packet.timestamp, packet.payload))
    assert not sender.busy
    assert [(press.digit, press.duration_ms) for press in receive(packets)] == [(d, 100) for d in "19#D"]
    by_event = [list(group) for _, group in itertools.groupby(packets, key=lambda packet: packet[0])]
    assert [sum(payload[1] >> 7 for _, payload in one) for one in by_event] == [3, 3, 3, 3]
    with pytest.raises(ValueError, match="not a DTMF digit: X"):
        sender.queue("12X")

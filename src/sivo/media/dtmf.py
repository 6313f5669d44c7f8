"""Telephone events (RFC 4733): keys pressed, in RTP, both ways.

A sender repeats one event in many packets with the same RTP timestamp and a growing duration, and repeats the last
one ("end") three times. Any of them may be lost or come twice or late; still one key press is one digit.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

from sivo.media.rtp import RtpPacket, seq_delta, ts_delta

DIGITS = "0123456789*#ABCD"
_EVENT = struct.Struct("!BBH")
#: An event whose packets stopped without an end is over after this long (three lost ends and a margin).
LOST_END_S = 0.12
#: Largest duration one segment can carry; longer events go on with a later timestamp (RFC 4733 §2.5.1.3).
_SEGMENT = 0xFFFF
_REMEMBERED = 8
#: Packets by which one may come late and still tell of a press that nothing else told of.
_LATE = 16

SAMPLES_PER_TICK = 160
DIGIT_TICKS = 5
END_PACKETS = 3
GAP_TICKS = 4


class Press(NamedTuple):
    """One key press that is over."""

    digit: str
    duration_ms: int


class _Event:
    __slots__ = ("base", "digit", "duration", "seen", "sequence", "timestamp")

    def __init__(self, digit: str, packet: RtpPacket, now: float) -> None:
        self.digit = digit
        self.timestamp = packet.timestamp
        self.base = 0  # samples in earlier segments of a long event
        self.duration = 0
        self.sequence = packet.sequence  # the newest that was seen
        self.seen = now

    def take(self, packet: RtpPacket, duration: int) -> None:
        self.duration = max(self.duration, duration)
        if seq_delta(packet.sequence, self.sequence) > 0:
            self.sequence = packet.sequence


class DtmfReceiver:
    """Turns telephone-event packets into key presses, exactly one each.

    Two presses differ by their timestamp. A phone whose sound source is late takes the next key's timestamp before the
    clock of its stream has moved, so two keys one after the other may carry the same one: then another key, or a
    duration that begins anew in a later packet, tells them apart.
    """

    def __init__(self) -> None:
        self._current: _Event | None = None
        self._ssrc: int | None = None
        self._done: deque[_Event] = deque(maxlen=_REMEMBERED)

    def put(self, packet: RtpPacket, now: float) -> list[Press]:
        """Take one packet. Events that are no DTMF digit (over 15) and short payloads are ignored."""
        if len(packet.payload) < 4:
            return []
        number, flags, duration = _EVENT.unpack_from(packet.payload)
        if number >= len(DIGITS):
            return []
        end = bool(flags & 0x80)
        over = self._changed(packet.ssrc)
        if self._said_already(packet, DIGITS[number], duration, end):
            return over
        event = self._current
        if event is not None and not self._belongs(event, packet, DIGITS[number], duration):
            if self._before(event, packet):
                return [*over, *self._late(packet, DIGITS[number], duration)]
            over.append(self._finish(event))
            event = None
        if event is None:
            event = self._current = _Event(DIGITS[number], packet, now)
        event.take(packet, duration)
        event.seen = now
        if end:
            over.append(self._finish(event))
        return over

    def poll(self, now: float) -> list[Press]:
        """Finish an event whose end packets were all lost."""
        if self._current is not None and now - self._current.seen >= LOST_END_S:
            return [self._finish(self._current)]
        return []

    def _changed(self, ssrc: int) -> list[Press]:
        """Another stream has another clock: nothing of the one before can come back."""
        if ssrc == self._ssrc:
            return []
        self._ssrc = ssrc
        over = [self._finish(self._current)] if self._current is not None else []
        self._done.clear()
        return over

    def _said_already(self, packet: RtpPacket, digit: str, duration: int, end: bool) -> bool:
        """Whether it tells of a press that is over: repeated, late, or after we had given it up."""
        current = self._current
        going_on = current is not None and (current.digit, current.timestamp) == (digit, packet.timestamp)
        for event in self._done:
            if event.timestamp != packet.timestamp or event.digit != digit:
                continue
            if seq_delta(packet.sequence, event.sequence) <= 0:
                return True
            anew = duration < event.duration or (packet.marker and duration == event.duration)
            if not going_on and (end or not anew):
                event.take(packet, duration)
                return True
        return False

    def _belongs(self, event: _Event, packet: RtpPacket, digit: str, duration: int) -> bool:
        """Whether it is of the press that is going on; a long one goes on in another segment."""
        if digit != event.digit:
            return False
        if packet.timestamp == event.timestamp:
            return duration >= event.duration or seq_delta(packet.sequence, event.sequence) < 0
        if ts_delta(packet.timestamp, event.timestamp) != _SEGMENT:
            return False
        segment = _Event(digit, packet, event.seen)
        segment.timestamp, segment.duration, segment.sequence = event.timestamp, _SEGMENT, event.sequence
        self._done.append(segment)
        event.base += _SEGMENT
        event.timestamp, event.duration = packet.timestamp, 0
        return True

    @staticmethod
    def _before(event: _Event, packet: RtpPacket) -> bool:
        return ts_delta(packet.timestamp, event.timestamp) < 0 or (
            packet.timestamp == event.timestamp and seq_delta(packet.sequence, event.sequence) < 0
        )

    def _late(self, packet: RtpPacket, digit: str, duration: int) -> list[Press]:
        """The first that we see of a press from before the one that is going on: the network turned them round."""
        current = self._current
        if current is None or not -_LATE < seq_delta(packet.sequence, current.sequence) < 0:
            return []
        missed = _Event(digit, packet, current.seen)
        missed.take(packet, duration)
        self._done.append(missed)
        return [Press(digit, duration // 8)]

    def _finish(self, event: _Event) -> Press:
        self._done.append(event)
        self._current = None
        return Press(event.digit, (event.base + event.duration) // 8)


class EventPacket(NamedTuple):
    """What the leg has to send in one tick instead of audio."""

    payload: bytes
    timestamp: int
    marker: bool


class DtmfSender:
    """Plays digits: 100 ms each with three ends, 80 ms between two, one packet a tick."""

    def __init__(self, volume: int = 10) -> None:
        self._volume = volume & 0x3F
        self._digits: deque[str] = deque()
        self._timestamp = 0
        self._tick = 0

    @property
    def busy(self) -> bool:
        """True while digits are being sent or wait."""
        return bool(self._digits)

    def queue(self, digits: str) -> None:
        """Add digits. ``ValueError`` for anything that is not 0-9 * # A-D."""
        upper = digits.upper()
        wrong = sorted(set(upper) - set(DIGITS))
        if wrong:
            raise ValueError(f"not a DTMF digit: {' '.join(wrong)}")
        self._digits.extend(upper)

    def next(self, timestamp: int) -> EventPacket | None:
        """The event packet of this tick; None = silence between digits or nothing to send.

        ``timestamp`` is the RTP time of the tick; all packets of a digit carry that of its first.
        """
        if not self._digits:
            return None
        tick = self._tick
        self._tick += 1
        if tick >= DIGIT_TICKS + END_PACKETS:
            if tick == DIGIT_TICKS + END_PACKETS + GAP_TICKS - 1:
                self._digits.popleft()
                self._tick = 0
            return None
        if tick == 0:
            self._timestamp = timestamp
        end = tick >= DIGIT_TICKS
        duration = SAMPLES_PER_TICK * min(tick + 1, DIGIT_TICKS)
        flags = (0x80 if end else 0) | self._volume
        payload = _EVENT.pack(DIGITS.index(self._digits[0]), flags, duration)
        return EventPacket(payload, self._timestamp, tick == 0)

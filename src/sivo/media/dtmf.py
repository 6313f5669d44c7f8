"""Telephone events (RFC 4733): keys pressed, in RTP, both ways.

A sender repeats one event in many packets with the same RTP timestamp and a growing duration, and repeats the last
one ("end") three times. Any of them may be lost or come twice or late; still one key press is one digit.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

from sivo.media.rtp import ts_delta

DIGITS = "0123456789*#ABCD"
_EVENT = struct.Struct("!BBH")
#: An event whose packets stopped without an end is over after this long (three lost ends and a margin).
LOST_END_S = 0.12
#: Largest duration one segment can carry; longer events go on with a later timestamp (RFC 4733 §2.5.1.3).
_SEGMENT = 0xFFFF
_REMEMBERED = 8

SAMPLES_PER_TICK = 160
DIGIT_TICKS = 5
END_PACKETS = 3
GAP_TICKS = 4


class Press(NamedTuple):
    """One key press that is over."""

    digit: str
    duration_ms: int


class _Event:
    __slots__ = ("base", "digit", "duration", "seen", "timestamp")

    def __init__(self, digit: str, timestamp: int, now: float) -> None:
        self.digit = digit
        self.timestamp = timestamp
        self.base = 0  # samples in earlier segments of a long event
        self.duration = 0
        self.seen = now


class DtmfReceiver:
    """Turns telephone-event packets into key presses, exactly one each."""

    def __init__(self) -> None:
        self._current: _Event | None = None
        self._done: deque[int] = deque(maxlen=_REMEMBERED)

    def put(self, timestamp: int, payload: bytes, now: float) -> list[Press]:
        """Take one packet's payload. Events that are no DTMF digit (over 15) and short payloads are ignored."""
        if len(payload) < 4:
            return []
        number, flags, duration = _EVENT.unpack_from(payload)
        if number >= len(DIGITS) or timestamp in self._done:
            return []
        over: list[Press] = []
        event = self._current
        if event is not None and timestamp != event.timestamp:
            if ts_delta(timestamp, event.timestamp) < 0:
                return []  # a late packet of an event that was given up
            if self._continues(event, DIGITS[number], timestamp):
                event.base += _SEGMENT
                self._done.append(event.timestamp)
                event.timestamp, event.duration = timestamp, 0
            else:
                over.append(self._finish(event))
                event = None
        if event is None:
            event = self._current = _Event(DIGITS[number], timestamp, now)
        event.duration = max(event.duration, duration)
        event.seen = now
        if flags & 0x80:
            over.append(self._finish(event))
        return over

    def poll(self, now: float) -> list[Press]:
        """Finish an event whose end packets were all lost."""
        if self._current is not None and now - self._current.seen >= LOST_END_S:
            return [self._finish(self._current)]
        return []

    @staticmethod
    def _continues(event: _Event, digit: str, timestamp: int) -> bool:
        return digit == event.digit and ts_delta(timestamp, event.timestamp) == _SEGMENT

    def _finish(self, event: _Event) -> Press:
        self._done.append(event.timestamp)
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

"""Adaptive jitter buffer for G.711: packets in at any time and order, exactly one 20 ms frame out every tick.

The buffer maps RTP time to play-out time and keeps that mapping; what has not come when its turn is up is concealed.
``margin`` is how long before its turn a packet comes. Once a second the mapping may move by one frame: later when
packets came late or close to it, earlier when all of them came needlessly early for several seconds. That absorbs
jitter and clock skew (200 ppm are one frame in 100 s) alike. The move waits up to half a second for a quiet frame.

Pure: times are arguments (seconds, monotonic).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from enum import Enum
from typing import NamedTuple

from sivo.media import codec, concealment
from sivo.media.rtp import RtpPacket, ts_delta

FRAME_S = 0.020
_FRAME = codec.FRAME_SAMPLES
#: A packet may carry up to 120 ms; more is not telephony.
MAX_PAYLOAD = 960
_MAX_PACKETS = 64
_WINDOW = 50  # ticks between two decisions
_LOW_MS = 4.0
_HIGH_MS = 26.0  # a frame more than the lower bound and a little: two legs of a call end up within a frame
_PATIENCE = 5  # windows that must all be early before a frame is dropped; doubles with each frame put in
_MOST_PATIENCE = 60
_LATE_RUN = 5  # late packets in a row, over at least _LATE_S (no mere burst), after which the mapping is made anew
_LATE_S = 0.08
_JUMP = 8000  # samples ahead after which a packet belongs to a new mapping
_SILENT_S = 1.0  # without any packet the next one starts afresh
_QUIET_RMS = 250
_WAIT_TICKS = 25


class Kind(Enum):
    """Where a frame's sound comes from."""

    VOICE = "voice"
    CONCEALED = "concealed"
    SILENCE = "silence"


class Frame(NamedTuple):
    """20 ms as heard: 160 bytes in the peer's codec and the same as 320 bytes PCM16."""

    payload_type: int
    payload: bytes
    pcm16: bytes
    kind: Kind

    @property
    def ulaw(self) -> bytes:
        """The frame as PCMU."""
        return self.payload if self.payload_type == codec.PCMU else codec.encode(codec.PCMU, self.pcm16)


class _Segment(NamedTuple):
    timestamp: int  # unwrapped
    payload: bytes
    payload_type: int


SILENCE = Frame(codec.PCMU, codec.SILENCE_ULAW, codec.SILENCE_PCM, Kind.SILENCE)


class JitterBuffer:
    """One received stream."""

    def __init__(self, target_ms: int = 60, max_ms: int = 120) -> None:
        self._target = target_ms * codec.SAMPLES_PER_MS
        self._max_ms = float(max_ms)
        self._segments: list[_Segment] = []
        self._recent: deque[int] = deque(maxlen=_MAX_PACKETS)
        self._started = False
        self._ssrc = 0
        self._next = 0  # unwrapped timestamp of the next frame to play
        self._last_pop: float | None = None
        self._last_arrival = 0.0
        self._gap = concealment.FRAMES
        self._concealment = concealment.Concealment()
        self._heard = codec.SILENCE_PCM
        self._payload_type = codec.PCMU
        self._late_run = 0
        self._late_since = 0.0
        self._pending = 0  # +1 insert a frame, -1 drop one
        self._pending_ticks = 0
        self._window_ticks = 0
        self._window_packets = 0
        self._window_late = 0
        self._window_min = float("inf")
        self._window_max = float("-inf")
        self._early_windows = 0
        self._patience = _PATIENCE
        self.late = 0
        self.duplicates = 0
        self.concealed = 0
        self.inserted = 0
        self.dropped = 0
        self.skipped = 0
        self.resyncs = 0
        self._depths = 0.0
        self._pops = 0

    @property
    def mean_ms(self) -> float:
        """Mean of :attr:`buffered_ms` over the ticks at which something was there to be played."""
        return self._depths / self._pops if self._pops else 0.0

    @property
    def buffered_ms(self) -> float:
        """From the next frame to play to the end of the newest one received."""
        if not self._segments:
            return 0.0
        newest = self._segments[-1]
        return max(newest.timestamp + len(newest.payload) - self._next, 0) / codec.SAMPLES_PER_MS

    def put(self, packet: RtpPacket, now: float) -> None:
        """Take an audio packet that arrived at ``now``. Empty and oversized payloads are ignored."""
        if not 0 < len(packet.payload) <= MAX_PAYLOAD or len(self._segments) >= _MAX_PACKETS:
            return
        if self._started and (packet.ssrc != self._ssrc or self._distance(packet.timestamp) > _JUMP):
            self._started = False
            self.resyncs += 1
        if not self._started:
            self._start(packet)
        if packet.sequence in self._recent:
            self.duplicates += 1
            return
        self._recent.append(packet.sequence)
        self._last_arrival = now
        timestamp = self._next + self._distance(packet.timestamp)
        if timestamp + len(packet.payload) <= self._next:
            self._too_late(packet, now)
            return
        self._late_run = 0
        self._margin((timestamp - self._next) / codec.SAMPLES_PER_MS, self._until_pop(now) * 1000)
        insort(self._segments, _Segment(timestamp, packet.payload, packet.payload_type))

    def pop(self, now: float) -> Frame:
        """The frame of the tick that was due at ``now``."""
        self._last_pop = now
        if not self._started:
            return self._conceal()
        if not self._segments and now - self._last_arrival > _SILENT_S:
            self._started = False
            return self._conceal()
        self._count_tick()
        if self._pending and self._move_now():
            direction, self._pending = self._pending, 0
            self._reset_window()  # margins measured before the move say nothing any more
            if direction > 0:
                self.inserted += 1
                return self._conceal()
            self.dropped += 1
            self._next += _FRAME
        if self._segments:
            self._depths += self.buffered_ms
            self._pops += 1
        frame = self._take()
        self._next += _FRAME
        return frame

    # --- mapping ---------------------------------------------------------------------------------------------------

    def _start(self, packet: RtpPacket) -> None:
        self._started = True
        self._ssrc = packet.ssrc
        self._segments.clear()
        self._recent.clear()
        self._late_run = 0
        self._pending = 0
        self._early_windows = 0
        self._reset_window()
        self._next = packet.timestamp - max(self._target - _FRAME, 0)

    def _distance(self, timestamp: int) -> int:
        return ts_delta(timestamp, self._next & 0xFFFFFFFF)

    def _until_pop(self, now: float) -> float:
        """Seconds; negative while ticks that are due have not run yet because the process was held up."""
        return FRAME_S if self._last_pop is None else self._last_pop + FRAME_S - now

    def _margin(self, ahead_ms: float, until_pop_ms: float) -> None:
        self._window_min = min(self._window_min, ahead_ms + max(until_pop_ms, 0.0))
        # After a stall the packets of that time come at once: they are not early, the ticks that play them are late.
        margin_ms = ahead_ms + until_pop_ms
        self._window_max = max(self._window_max, margin_ms)
        self._window_packets += 1
        if margin_ms > self._max_ms + 1000 * FRAME_S:
            surplus = int((margin_ms - self._max_ms) // 20 + 1)
            self.skipped += surplus
            self._next += surplus * _FRAME

    def _too_late(self, packet: RtpPacket, now: float) -> None:
        self.late += 1
        self._window_late += 1
        self._window_packets += 1
        self._late_run += 1
        if self._late_run == 1:
            self._late_since = now
        if self._late_run >= _LATE_RUN and now - self._late_since >= _LATE_S - 0.001:
            self.resyncs += 1
            self._start(packet)

    # --- adaptation ------------------------------------------------------------------------------------------------

    def _reset_window(self) -> None:
        self._window_ticks = 0
        self._window_packets = 0
        self._window_late = 0
        self._window_min = float("inf")
        self._window_max = float("-inf")

    def _count_tick(self) -> None:
        self._window_ticks += 1
        if self._window_ticks < _WINDOW:
            return
        if self._window_packets:
            self._decide()
        self._reset_window()

    def _decide(self) -> None:
        self._early_windows = self._early_windows + 1 if self._window_min > _HIGH_MS else 0
        late = self._window_late >= max(2, self._window_packets // 50)
        if (late or self._window_min < _LOW_MS) and self._window_max + 20 <= self._max_ms:
            self._plan(1)
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
        elif self._early_windows >= self._patience:
            self._plan(-1)

    def _plan(self, direction: int) -> None:
        self._pending = direction
        self._pending_ticks = 0
        self._early_windows = 0

    def _move_now(self) -> bool:
        self._pending_ticks += 1
        return self._pending_ticks >= _WAIT_TICKS or codec.rms(self._heard) < _QUIET_RMS

    # --- frames ----------------------------------------------------------------------------------------------------

    def _take(self) -> Frame:
        segments = self._segments
        while segments and segments[0].timestamp + len(segments[0].payload) <= self._next:
            segments.pop(0)
        if not segments or segments[0].timestamp >= self._next + _FRAME:
            return self._conceal()
        first = segments[0]
        if first.timestamp == self._next and len(first.payload) == _FRAME:
            segments.pop(0)
            return self._voice(first.payload_type, first.payload, codec.decode(first.payload_type, first.payload))
        pcm16 = self._assemble()
        return self._voice(first.payload_type, codec.encode(first.payload_type, pcm16), pcm16)

    def _assemble(self) -> bytes:
        """20 ms out of pieces of other lengths (ptime 10, 30 …); what is missing between them is silence."""
        out = bytearray()
        position, end = self._next, self._next + _FRAME
        for segment in self._segments:
            if segment.timestamp >= end:
                break
            if segment.timestamp > position:
                out += bytes(2 * (segment.timestamp - position))
                position = segment.timestamp
            piece = segment.payload[position - segment.timestamp : end - segment.timestamp]
            out += codec.decode(segment.payload_type, piece)
            position += len(piece)
        out += bytes(2 * (end - position))
        return bytes(out)

    def _voice(self, payload_type: int, payload: bytes, pcm16: bytes) -> Frame:
        self._gap = 0
        self._heard = pcm16
        self._concealment.heard(pcm16)
        self._payload_type = payload_type
        return Frame(payload_type, payload, pcm16, Kind.VOICE)

    def _conceal(self) -> Frame:
        if self._gap >= concealment.FRAMES:
            self._heard = codec.SILENCE_PCM
            return SILENCE
        pcm16 = self._concealment.frame(self._gap)
        self._gap += 1
        self.concealed += 1
        return Frame(self._payload_type, codec.encode(self._payload_type, pcm16), pcm16, Kind.CONCEALED)

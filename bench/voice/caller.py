"""Callers: RTP phones that speak a clip, wait for the voice that answers, and take the time from the waveforms.

The stopwatch starts when the last frame that holds voice has been sent and stops when the first packet with voice
comes back. All callers share one clock in ten phases, so that packets do not come in bursts.
"""

from __future__ import annotations

import asyncio
import audioop
import random
import struct
import time
import wave
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import cast

FRAME, FRAME_S = 160, 0.020
#: A frame louder than this (RMS of 16 bit) is voice.
VOICED = 250
PHASES = 10
_SILENCE = b"\xff" * FRAME
#: Silence after which the answer is over.
_OVER_S = 0.4
#: No answer after so long: the turn is lost.
_LOST_S = 4.0


@dataclass(frozen=True)
class Clip:
    """What a caller says: frames of PCMU, and the number of those up to the last one with voice in it."""

    frames: tuple[bytes, ...]
    voiced: int

    @classmethod
    def load(cls, path: Path) -> Clip:
        """A WAV file, 8 kHz, mono, 16 bit."""
        with wave.open(str(path), "rb") as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (8000, 1, 2):
                raise ValueError(f"{path} is not 8 kHz, mono, 16 bit")
            pcm = file.readframes(file.getnframes())
        pcm += bytes(-len(pcm) % (2 * FRAME))
        cut = [pcm[start : start + 2 * FRAME] for start in range(0, len(pcm), 2 * FRAME)]
        voiced = max(place for place, frame in enumerate(cut) if audioop.rms(frame, 2) > VOICED) + 1
        return cls(tuple(audioop.lin2ulaw(frame, 2) for frame in cut), voiced)


class _Does(Enum):
    RESTS = 0
    SPEAKS = 1
    WAITS = 2
    HEARS = 3


@dataclass
class Turn:
    """One question: when its voice ended (monotonic) and how long it took until the answer was heard, None = never."""

    asked_at: float
    ms: float | None = None


@dataclass
class Tally:
    """What a caller has seen."""

    turns: list[Turn] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    #: Voice came while the caller spoke.
    talked_over: int = 0


class Caller(asyncio.DatagramProtocol):
    """One phone. ``seed`` spreads its questions in time."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self.tally = Tally()
        self.phase = seed % PHASES
        self._clips = clips
        self._rng = random.Random(seed)
        self._does = _Does.RESTS
        self._until = 0.0
        self._place = 0
        self._clip = clips[0]
        self._heard_at = 0.0
        self._sequence, self._stamp, self._ssrc = self._rng.getrandbits(15), self._rng.getrandbits(31), seed + 1
        self._to: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """Own port."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def call(self, port: int, first_in: float) -> None:
        """Send to this port of loopback from now on; the first question comes in so many seconds."""
        self._to = ("127.0.0.1", port)
        self._until = time.monotonic() + first_in

    def hang_up(self) -> None:
        """Send nothing more."""
        self._to = None
        if self._transport is not None:
            self._transport.close()

    def tick(self, now: float) -> None:
        """Send 20 ms."""
        if self._to is None or self._transport is None:
            return
        payload = self._next(now)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._stamp = (self._stamp + FRAME) & 0xFFFFFFFF
        head = struct.pack("!BBHII", 0x80, 0, self._sequence, self._stamp, self._ssrc)
        self._transport.sendto(head + payload, self._to)
        self.tally.sent += 1
        if self._does is _Does.SPEAKS and self._place == self._clip.voiced:
            self._does = _Does.WAITS
            self.tally.turns.append(Turn(time.monotonic()))

    def _next(self, now: float) -> bytes:
        gave_up = self._does is _Does.WAITS and now - self.tally.turns[-1].asked_at > _LOST_S
        if gave_up or (self._does is _Does.HEARS and now - self._heard_at > _OVER_S):
            self._rest(now)
        elif self._does is _Does.RESTS and now >= self._until:
            self._does, self._place = _Does.SPEAKS, 0
            self._clip = self._rng.choice(self._clips)
        if self._does in (_Does.SPEAKS, _Does.WAITS) and self._place < len(self._clip.frames):
            self._place += 1
            return self._clip.frames[self._place - 1]
        return _SILENCE

    def _rest(self, now: float) -> None:
        self._does, self._until = _Does.RESTS, now + self._rng.uniform(0.6, 1.0)

    # --- asyncio.DatagramProtocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) != 12 + FRAME or data[1] & 0x7F:
            return  # RTCP, or no PCMU
        self.tally.received += 1
        now = time.monotonic()
        if audioop.rms(audioop.ulaw2lin(data[12:], 2), 2) <= VOICED:
            return
        self._heard_at = now
        if self._does is _Does.WAITS:
            self.tally.turns[-1].ms = (now - self.tally.turns[-1].asked_at) * 1000
            self._does = _Does.HEARS
        elif self._does is _Does.SPEAKS:
            self.tally.talked_over += 1


class Street:
    """All callers and their clock. ``late_ms``: how late it ran, since this was last emptied."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.late_ms: list[float] = []
        self._task = asyncio.create_task(self._run())

    async def add(self, clips: list[Clip], seed: int) -> Caller:
        """One more phone; it sends nothing yet."""
        caller = Caller(clips, seed)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: caller, local_addr=("127.0.0.1", 0))
        self.callers.append(caller)
        return caller

    async def close(self) -> None:
        """Stop the clock and close every port."""
        self._task.cancel()
        for caller in self.callers:
            caller.hang_up()

    async def _run(self) -> None:
        step, number, begun = FRAME_S / PHASES, 0, time.monotonic()
        while True:
            now = time.monotonic()
            self.late_ms.append(max(0.0, (now - begun - number * step) * 1000))
            for caller in self.callers:
                if caller.phase == number % PHASES:
                    caller.tick(now)
            number += 1
            await asyncio.sleep(max(0.0, begun + number * step - time.monotonic()))

"""A real media process whose agent plays a 1000 Hz tone and repeats what it was told; started by the harness."""

from __future__ import annotations

import asyncio
import functools
import math
import signal
import struct
import time
from collections.abc import Callable
from typing import Any

import uvloop

from sivo.base import logs
from sivo.base.settings import Settings
from sivo.media import role
from sivo.media.conversation import Emit, VadSlot, VadWindow
from sivo.media.playout import Playout, SentFrame
from sivo.media.protocol import ConversationEnded, ConversationSpec, Segment


@functools.cache
def tone(hertz: int, ms: int) -> bytes:
    samples = [int(8000 * math.sin(2 * math.pi * hertz * n / 8000)) for n in range(8 * ms)]
    return struct.pack(f"<{len(samples)}h", *samples)


class ToneAgent:
    """Plays the greeting's number of milliseconds of 1000 Hz; ends itself at a ``#``; ``5`` blocks the loop."""

    def __init__(
        self,
        spec: ConversationSpec,
        playout: Playout,
        emit: Emit,
        clock_ms: Callable[[], int],
        _http: Any,
        _vad: VadSlot,
    ) -> None:
        self._emit = emit
        self._clock_ms = clock_ms
        self._heard = 0
        self._voiced = 0
        self._sent = 0
        self._ended = False
        playout.append(1, 1, tone(1000, int(spec.greeting)))
        playout.end(1, 1)

    def on_sent(self, now_ms: int, sent: SentFrame | None) -> None:
        if sent is not None:
            self._sent += sent.duration_ms
            if sent.last:
                self._emit(Segment(segment="s1", speaker="agent", text=f"{self._sent} ms", start_ms=0, end_ms=now_ms))

    def on_audio(self, now_ms: int, ulaw_frame: bytes, pcm16: bytes, voiced: list[VadWindow]) -> None:
        assert len(ulaw_frame) == 160 and len(pcm16) == 320
        assert abs(now_ms - self._clock_ms()) <= 200
        self._heard += 20
        self._voiced += 32 * sum(window.voiced for window in voiced)
        if self._heard % 200 == 0:
            self._emit.note("interim", {"heard_ms": self._heard, "voiced_ms": self._voiced})

    def on_digit(self, digit: str) -> None:
        if digit == "5":
            until = time.monotonic() + 0.05
            while time.monotonic() < until:
                pass
        if digit == "#":
            self.stop("agent_hangup")
        if digit == "*":
            raise RuntimeError("a conversation that breaks")

    def stop(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self._emit(ConversationEnded(reason=reason, turns=0, at_ms=self._clock_ms()))

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await role.run(Settings(), stop, 0, ToneAgent)


if __name__ == "__main__":
    logs.configure("media-0")
    uvloop.run(main())

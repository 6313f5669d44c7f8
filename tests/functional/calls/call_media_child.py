"""A real media process whose agent plays a tone as long as its greeting says, and obeys digits; started by the tests.

``1``: one turn with two segments. ``2``: transfer to the agent's target. ``#``: hang-up by the agent. A goodbye (no
reprompts, short silence) ends by itself.
"""

from __future__ import annotations

import asyncio
import math
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import uvloop

from sivo.base import logs
from sivo.base.settings import Settings
from sivo.media import role
from sivo.media.conversation import Emit, VadSlot, VadWindow
from sivo.media.playout import Playout, SentFrame
from sivo.media.protocol import ConversationEnded, ConversationSpec, Segment, Turn


def tone(hertz: int, ms: int) -> bytes:
    samples = [int(8000 * math.sin(2 * math.pi * hertz * n / 8000)) for n in range(8 * ms)]
    return struct.pack(f"<{len(samples)}h", *samples)


class ObedientAgent:
    """Stands where the AI stands; everything around it is the product."""

    def __init__(
        self,
        spec: ConversationSpec,
        playout: Playout,
        emit: Emit,
        clock_ms: Callable[[], int],
        _http: Any,
        _vad: VadSlot,
    ) -> None:
        self._spec, self._emit, self._clock_ms = spec, emit, clock_ms
        self._turns = 0
        self._ended = False
        self._farewell = spec.max_reprompts == 0
        playout.append(1, 1, tone(1000, 200))
        playout.end(1, 1)

    def on_sent(self, now_ms: int, sent: SentFrame | None) -> None:
        if sent is not None and sent.last and self._farewell:
            self.stop("silence")

    def on_audio(self, now_ms: int, ulaw_frame: bytes, pcm16: bytes, voiced: list[VadWindow]) -> None:
        pass

    def on_digit(self, digit: str) -> None:
        now = self._clock_ms()
        if digit == "1":
            self._turns += 1
            for speaker, text in (("caller", "where is my order"), ("agent", "on its way")):
                self._emit(
                    Segment(
                        segment=str(uuid4()), speaker=speaker, text=text, start_ms=now, end_ms=now + 500, language="en"
                    )
                )
            self._emit(
                Turn(
                    turn=self._turns,
                    user_text="where is my order",
                    user_start_ms=now,
                    user_end_ms=now + 500,
                    reply_text="on its way",
                    latency={"endpointing": 300.0, "stt": 320.0, "first_frame": 700.0},
                )
            )
        elif digit == "2":
            self.stop("transfer")
        elif digit == "#":
            self.stop("agent_hangup")

    def stop(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            target = self._spec.transfer_to if reason == "transfer" else ""
            self._emit(ConversationEnded(reason=reason, turns=self._turns, at_ms=self._clock_ms(), transfer_to=target))

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await role.run(Settings(), stop, int(sys.argv[1]), ObedientAgent)


if __name__ == "__main__":
    logs.configure("media")
    uvloop.run(main())

"""Speech-to-text behind one interface: audio of the caller in all the time, text of voice segments out.

The turn engine's own VAD says where a segment begins and ends. A streaming engine hears everything and is told to
finalise; a segment engine (Whisper-compatible, and the local one) gets each segment whole, with pre-roll.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sivo.speech.faults import ProviderError, explain

#: Audio before the VAD's onset that goes with a segment: plosives and soft starts.
PREROLL_MS = 300
#: How far back a segment may begin (a voice deferred by the cooldown opens late with its true start).
KEEP_MS = 6_000
FRAME_MS = 20
_DRAIN_S = 1.5


@dataclass(frozen=True, slots=True)
class SttText:
    """Text of a segment (None: words where our VAD heard no voice)."""

    segment: int | None
    text: str
    final: bool
    #: Where the words stand on the call's clock, when the engine says so.
    start_ms: float | None = None
    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SttFailed:
    """A segment that got no text because the engine failed."""

    segment: int
    error: ProviderError


@dataclass(frozen=True, slots=True)
class SttTrouble:
    """The line to a streaming engine broke or was refused. No word is lost while it comes back within
    :data:`sivo.speech.live.REPLAY_MS`; segments that cannot wait get their own :class:`SttFailed`."""

    error: ProviderError


@dataclass(frozen=True, slots=True)
class SttReady:
    """A streaming engine listens (again)."""


SttResult = SttText | SttFailed | SttTrouble | SttReady
OnText = Callable[[SttResult], None]


class SttSession(Protocol):
    """Speech-to-text of one call. Calls return at once; results come through the callback given at creation."""

    def audio(self, end_ms: int, ulaw: bytes, pcm16: bytes) -> None:
        """20 ms of the caller (160 bytes PCMU, the same as 320 bytes PCM16 at 8 kHz) that ended at ``end_ms``."""
        ...

    def begin(self, segment: int, start_ms: float) -> None:
        """A voice segment has begun."""
        ...

    def finish(self, segment: int, end_ms: float) -> None:
        """The voice has ended: the final text is wanted now. Again with the same number: a second try."""
        ...

    def drop(self, segment: int) -> None:
        """Nobody waits for this segment any more."""
        ...

    async def drain(self) -> None:
        """No more audio comes; wait for what is still on its way (bounded), results go on through the callback."""
        ...

    async def close(self) -> None:
        """End the session; no callback comes afterwards."""
        ...


class Transcriber(Protocol):
    """An engine that takes whole segments."""

    async def transcribe(self, pcm16_8k: bytes) -> str:
        """Text of one segment, empty for none. Raises :class:`ProviderError`."""
        ...


class SegmentStt:
    """:class:`SttSession` over a :class:`Transcriber`: keeps recent audio, cuts segments out of it, asks once each."""

    def __init__(self, transcriber: Transcriber, on_text: OnText) -> None:
        self._transcriber = transcriber
        self._on_text = on_text
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=KEEP_MS // FRAME_MS)
        self._open: dict[int, list[bytes]] = {}
        self._finished: dict[int, bytes] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def audio(self, end_ms: int, ulaw: bytes, pcm16: bytes) -> None:
        """See :class:`SttSession`."""
        self._recent.append((end_ms, pcm16))
        for frames in self._open.values():
            frames.append(pcm16)

    def begin(self, segment: int, start_ms: float) -> None:
        """See :class:`SttSession`."""
        since = start_ms - PREROLL_MS
        self._open[segment] = [pcm16 for end_ms, pcm16 in self._recent if end_ms > since]

    def finish(self, segment: int, end_ms: float) -> None:
        """See :class:`SttSession`."""
        if segment in self._open:
            self._finished[segment] = b"".join(self._open.pop(segment))
        audio = self._finished.get(segment)
        if audio is not None and segment not in self._tasks:
            self._tasks[segment] = asyncio.create_task(self._ask(segment, audio), name=f"stt-{segment}")

    def drop(self, segment: int) -> None:
        """See :class:`SttSession`."""
        self._open.pop(segment, None)
        self._finished.pop(segment, None)
        task = self._tasks.pop(segment, None)
        if task is not None:
            task.cancel()

    async def drain(self) -> None:
        """See :class:`SttSession`."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=_DRAIN_S)

    async def close(self) -> None:
        """See :class:`SttSession`."""
        tasks = list(self._tasks.values())
        for segment in [*self._tasks, *self._open]:
            self.drop(segment)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, segment: int, audio: bytes) -> None:
        try:
            text = await self._transcriber.transcribe(audio)
        except Exception as error:
            self._tasks.pop(segment, None)
            self._on_text(SttFailed(segment, explain(error)))
            return
        self._tasks.pop(segment, None)
        self._finished.pop(segment, None)
        self._on_text(SttText(segment, text, True))

"""The seam between the media loop and live transcription of people: what each side may expect of the other.

In every tick after a bridge: :meth:`Transcription.voices` says what the VAD batch is to judge, then
:meth:`Transcription.on_audio` gets the verdicts in that order. All calls are made on the event loop; none may block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sivo.media.conversation import Emit, VadBatch, VadSlot, VadWindow
from sivo.media.protocol import TranscriptionSpec

if TYPE_CHECKING:
    from sivo.outbound.client import GuardedClient


class Heard(NamedTuple):
    """20 ms of one leg: 160 bytes PCMU, and the same as 320 bytes PCM16; silence when nothing came."""

    ulaw: bytes
    pcm16: bytes


class Transcription(Protocol):
    """Live transcription of one session."""

    def voices(self, caller: Heard, agent: Heard) -> list[tuple[VadSlot, bytes]]:
        """What the VAD batch of this tick gets."""
        ...

    def on_audio(self, now_ms: int, windows: Sequence[list[VadWindow]]) -> None:
        """The verdicts on :meth:`voices`; ``now_ms`` is the end of the frames."""
        ...

    async def finish(self) -> None:
        """No more audio comes; returns when the last words have been told (bounded: 1.5 s)."""
        ...

    async def cancel(self) -> None:
        """Stop at once and tell nothing more."""
        ...


#: ``sivo.transcription.live.start(spec, emit, clock_ms, http, vad)``.
StartTranscribing = Callable[
    [TranscriptionSpec, Emit, Callable[[], int], "GuardedClient", VadBatch],
    Transcription,
]

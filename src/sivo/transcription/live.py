"""Live transcription of people who talk with each other: one fork a voice, or one stream of both.

Forks are taken before any mixing, so that each segment is labelled by the leg that it came from. Final text is a
fact; interim text is a note of the moment. An engine that fails costs words, never the call.
"""

from __future__ import annotations

import asyncio
import audioop
from collections.abc import Callable, Sequence
from typing import Any

from sivo.media.conversation import Emit, VadBatch, VadSlot, VadWindow
from sivo.media.protocol import FactBody, ProviderFault, Segment, TranscriptionSpec, TranscriptionStarted
from sivo.media.transcribing import Heard
from sivo.outbound.client import GuardedClient
from sivo.speech.engines import open_stt
from sivo.speech.faults import ProviderError
from sivo.speech.stt import SttFailed, SttReady, SttResult, SttText, SttTrouble
from sivo.transcription.voices import Begun, Ended, Voices

CALLER, AGENT, MIXED = "caller", "agent", "mixed"
#: ``action`` of a fault here: what the call counts as ``transcription_errors``.
ACTION = "transcription"


def start(
    spec: TranscriptionSpec, emit: Emit, clock_ms: Callable[[], int], http: GuardedClient, vad: VadBatch
) -> Forks:
    """Begin (see :data:`sivo.media.transcribing.StartTranscribing`)."""
    return Forks(spec, emit, clock_ms, http, vad)


class Forks:
    """The :class:`~sivo.media.transcribing.Transcription` of one session."""

    def __init__(
        self, spec: TranscriptionSpec, emit: Emit, clock_ms: Callable[[], int], http: GuardedClient, vad: VadBatch
    ) -> None:
        self._spec = spec
        self._emit: Emit = emit
        self._clock_ms: Callable[[], int] = clock_ms
        self._told = False
        self._stopped = False
        speakers = (CALLER, AGENT) if spec.separation else (MIXED,)
        self._forks = [Fork(speaker, self, http, vad.open()) for speaker in speakers]

    def voices(self, caller: Heard, agent: Heard) -> list[tuple[VadSlot, bytes]]:
        """See :class:`~sivo.media.transcribing.Transcription`."""
        heard = [caller, agent] if self._spec.separation else [_mixed(caller, agent)]
        for fork, frame in zip(self._forks, heard, strict=True):
            fork.frame = frame
        return [(fork.slot, fork.frame.pcm16) for fork in self._forks]

    def on_audio(self, now_ms: int, windows: Sequence[list[VadWindow]]) -> None:
        """See :class:`~sivo.media.transcribing.Transcription`."""
        for fork, verdicts in zip(self._forks, windows, strict=True):
            fork.hear(now_ms, verdicts)

    async def finish(self) -> None:
        """See :class:`~sivo.media.transcribing.Transcription`."""
        await asyncio.gather(*(fork.drain() for fork in self._forks), return_exceptions=True)
        await self.cancel()

    async def cancel(self) -> None:
        """See :class:`~sivo.media.transcribing.Transcription`."""
        self._stopped = True
        for fork in self._forks:
            fork.slot.close()
        await asyncio.gather(*(fork.session.close() for fork in self._forks), return_exceptions=True)
        # Engines and forks know each other; the session with all its buffers shall not wait until that cycle is found.
        self._emit, self._clock_ms = _Unheard(), int

    # --- what forks tell --------------------------------------------------------------------------------------------

    @property
    def spec(self) -> TranscriptionSpec:
        """What was asked for."""
        return self._spec

    def started(self) -> None:
        """An engine listens: a fact, once."""
        if not self._told and not self._stopped:
            self._told = True
            engine, separate = self._spec.engine, self._spec.separation
            self._emit(TranscriptionStarted(at_ms=self._clock_ms(), engine=engine, separate=separate))

    def failed(self, error: ProviderError) -> None:
        """An engine failed: a fact each time."""
        if not self._stopped:
            at_ms = self._clock_ms()
            self._emit(ProviderFault(stage="stt", cause=error.cause, detail=error.detail, at_ms=at_ms, action=ACTION))

    def said(self, segment: Segment) -> None:
        """Final text."""
        if not self._stopped:
            self._emit(segment)

    def saying(self, speaker: str, text: str) -> None:
        """Interim text."""
        if not self._stopped:
            self._emit.note("interim", {"speaker": speaker, "text": text})


class _Unheard:
    """Takes what nobody wants any more (:class:`~sivo.media.conversation.Emit`)."""

    def __call__(self, body: FactBody) -> None:
        pass

    def note(self, kind: str, data: dict[str, Any]) -> None:
        pass


class Fork:
    """One voice and its engine."""

    def __init__(self, speaker: str, forks: Forks, http: GuardedClient, slot: VadSlot) -> None:
        self.speaker = speaker
        self.slot = slot
        self.frame = Heard(b"", b"")
        self._forks = forks
        self._voices = Voices()
        self._spans: dict[int, tuple[float, float]] = {}
        self._told = 0
        self._now_ms = 0
        self._broken = False
        self.session = open_stt(http, forks.spec.stage, self.on_text, tag=speaker, patient=True)

    def hear(self, now_ms: int, verdicts: list[VadWindow]) -> None:
        """20 ms, with what the VAD thinks of it."""
        self._now_ms = now_ms
        self.session.audio(now_ms, self.frame.ulaw, self.frame.pcm16)
        for window in verdicts:
            self._follow(self._voices.hear(now_ms, window))

    async def drain(self) -> None:
        """No more audio: the open voice ends, and the engine says the rest."""
        self._follow(self._voices.end())
        await self.session.drain()

    def _follow(self, changes: list[Begun | Ended]) -> None:
        for change in changes:
            match change:
                case Begun(number, start_ms):
                    self._spans[number] = (start_ms, start_ms)
                    self.session.begin(number, start_ms)
                case Ended(number, start_ms, end_ms, noise):
                    self._spans[number] = (start_ms, end_ms)
                    if noise:
                        self.session.drop(number)
                    else:
                        self.session.finish(number, end_ms)

    def on_text(self, result: SttResult) -> None:
        """What the engine says."""
        match result:
            case SttText(final=False):
                self._forks.saying(self.speaker, result.text)
            case SttText():
                self._final(result)
            case SttReady():
                self._broken = False
                self._forks.started()
            case SttFailed():
                self._fail(result.error)
            case SttTrouble():
                if not self._broken:
                    self._broken = True
                    self._forks.failed(result.error)

    def _fail(self, error: ProviderError) -> None:
        # A line that is down was told when it broke; a segment that failed by itself is told now.
        if not self._broken:
            self._forks.failed(error)

    def _final(self, result: SttText) -> None:
        self._forks.started()
        known = self._spans.pop(result.segment, None) if result.segment is not None else None
        text = result.text.strip()
        if not text:
            return
        start_ms, end_ms = known or (result.start_ms, result.end_ms)
        self._told += 1
        begun = self._now_ms if start_ms is None else start_ms
        self._forks.said(
            Segment(
                segment=f"live-{self.speaker}-{self._told}-{int(begun)}",
                speaker=self.speaker,
                text=text,
                start_ms=max(0, int(begun)),
                end_ms=max(0, int(self._now_ms if end_ms is None else end_ms)),
                language=self._forks.spec.stage.language,
            )
        )


def _mixed(caller: Heard, agent: Heard) -> Heard:
    pcm16 = audioop.add(caller.pcm16, agent.pcm16, 2)
    return Heard(audioop.lin2ulaw(pcm16, 2), pcm16)

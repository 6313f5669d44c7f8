"""Carries sentences to synthesis, one at a time and in order, and their audio into the play-out."""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing

from sivo.ai.echo import Envelope
from sivo.ai.engine import events
from sivo.ai.engine.effects import Speak, Tone
from sivo.media.playout import Playout
from sivo.media.protocol import Stage
from sivo.speech.alignment import Alignment
from sivo.speech.faults import explain
from sivo.speech.tts import BYTES_PER_MS, PhraseCache, Synthesizer, neutral_tone

_PREPARE_TRIES = 2
_PREPARE_PAUSE_S = 3.0
#: Utterances whose loudness is kept: a model can be far ahead of what is being played.
_RECENT = 32


class VoiceQueue:
    """Speech of one conversation. ``stage``: whose voice it is now; ``happen`` takes the engine's events."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        stage: Callable[[], Stage],
        cache: PhraseCache,
        playout: Playout,
        happen: Callable[[events.Event], None],
    ) -> None:
        self._synthesizer = synthesizer
        self._stage = stage
        self._cache = cache
        self._playout = playout
        self._happen = happen
        self._phrases: dict[str, bytes] = {}
        #: Loudness of the latest utterances, for the echo guard.
        self._recent: OrderedDict[int, Envelope] = OrderedDict()
        self._waiting: list[tuple[int, int, str, bool]] = []
        self._current: tuple[int, int] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None

    def speak(self, wanted: Speak) -> None:
        """Queue an utterance; audio that is there already is not made again."""
        audio = self._ready(wanted.text)
        if audio is not None and (wanted.urgent or (self._current is None and not self._waiting)):
            self._play(wanted.epoch, wanted.utterance, audio)
            return
        heapq.heappush(self._waiting, (wanted.utterance, wanted.epoch, wanted.text, wanted.keep))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="tts")

    def level(self, utterance: int, offset_ms: int) -> float:
        """Loudness (root mean square) of the 20 ms of an utterance that start at ``offset_ms``; 0 when unknown."""
        envelope = self._recent.get(utterance)
        return envelope.at(offset_ms) if envelope is not None else 0.0

    def tone(self, wanted: Tone) -> None:
        """Play the neutral tone at once."""
        self._play(wanted.epoch, wanted.utterance, neutral_tone())

    def cancel(self, epoch: int) -> None:
        """Forget what waits of this epoch and stop what is being made; an utterance made in part ends there."""
        self._waiting = [item for item in self._waiting if item[1] != epoch]
        heapq.heapify(self._waiting)
        if self._current is not None and self._current[0] == epoch:
            self._end_current()
            if self._worker is not None and self._worker is not asyncio.current_task():
                self._worker.cancel()
                self._worker = asyncio.create_task(self._work(), name="tts") if self._waiting else None

    def prepare(self, texts: list[str]) -> None:
        """Make fixed phrases ahead, one after the other; each that is there is reported."""
        missing = []
        for text in texts:
            if self._ready(text) is None:
                missing.append(text)
            else:
                self._happen(events.PhraseReady(text))
        if missing and self._preparing is None:
            self._preparing = asyncio.create_task(self._prepare(missing), name="tts-ahead")

    def tasks(self) -> list[asyncio.Task[None]]:
        """Everything that is still running; cancelled on the way."""
        self._waiting.clear()
        running = [task for task in (self._worker, self._preparing) if task is not None and not task.done()]
        for task in running:
            task.cancel()
        return running

    def _ready(self, text: str) -> bytes | None:
        audio = self._phrases.get(text) or self._cache.get(self._stage(), text)
        if audio is not None:
            self._phrases[text] = audio
        return audio

    def _play(self, epoch: int, utterance: int, audio: bytes) -> None:
        self._append(epoch, utterance, audio)
        self._playout.end(epoch, utterance)
        self._happen(events.Audio(epoch, utterance, len(audio) / BYTES_PER_MS))
        self._happen(events.AudioDone(epoch, utterance))

    def _append(self, epoch: int, utterance: int, audio: bytes) -> None:
        self._playout.append(epoch, utterance, audio)
        self._recent.setdefault(utterance, Envelope()).add(audio)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _end_current(self) -> None:
        if self._current is not None:
            self._playout.end(*self._current)
            self._current = None

    async def _work(self) -> None:
        while self._waiting:
            utterance, epoch, text, keep = heapq.heappop(self._waiting)
            audio = self._ready(text)
            if audio is not None:
                self._play(epoch, utterance, audio)
            else:
                await self._make(epoch, utterance, text, keep)
        self._worker = None

    async def _make(self, epoch: int, utterance: int, text: str, keep: bool) -> None:
        here = (epoch, utterance)
        self._current = here
        made = bytearray()
        begun = False
        try:
            async with aclosing(self._synthesizer.speak(text)) as pieces:
                async for piece in pieces:
                    if self._current != here:
                        return
                    if isinstance(piece, Alignment):
                        self._happen(events.Aligned(epoch, utterance, piece))
                        continue
                    begun = True
                    made += piece
                    self._append(epoch, utterance, piece)
                    self._happen(events.Audio(epoch, utterance, len(piece) / BYTES_PER_MS))
        except Exception as error:
            if self._current != here:
                return
            fault = explain(error, streaming=begun)
            self._current = None
            if begun:
                self._playout.end(epoch, utterance)
            self._happen(events.AudioFailed(epoch, utterance, fault.cause, fault.detail))
            return
        if self._current != here:
            return
        self._current = None
        if begun:
            self._playout.end(epoch, utterance)
        if keep:
            self._cache.put(self._stage(), text, bytes(made))
        self._happen(events.AudioDone(epoch, utterance))

    async def _prepare(self, texts: list[str]) -> None:
        for attempt in range(_PREPARE_TRIES):
            if attempt:
                await asyncio.sleep(_PREPARE_PAUSE_S)
            texts = [text for text in texts if not await self._prepared(text)]
            if not texts:
                return

    async def _prepared(self, text: str) -> bool:
        made = bytearray()
        try:
            async with aclosing(self._synthesizer.speak(text)) as pieces:
                async for piece in pieces:
                    if not isinstance(piece, Alignment):
                        made += piece
        except Exception as error:
            explain(error)  # the same phrase fails again, with its fault, when it is really needed
            return False
        if not made:
            return False
        self._phrases[text] = bytes(made)
        self._cache.put(self._stage(), text, bytes(made))
        self._happen(events.PhraseReady(text))
        return True

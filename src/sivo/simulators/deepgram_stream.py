"""One Deepgram live stream from the server's side, without I/O: messages and time in, messages and closes out.

Semantics as documented: interims replace each other, several finals make one utterance up to ``speech_final``, Finalize
flushes (and is not answered when nothing was buffered), CloseStream flushes and ends with Metadata, ten seconds without
audio or KeepAlive end in NET-0001. Times are milliseconds.
"""

from __future__ import annotations

import audioop
import json
import uuid
from typing import Any

from sivo.simulators.deepgram_query import Query
from sivo.simulators.ear import Ear, HeardWord
from sivo.simulators.script import SttScript
from sivo.simulators.stt_connection import Close, Offence, Out, Say

NET_0001 = (
    "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"
)
IDLE_MS = 10_000
#: Between two interims without words.
_EMPTY_EVERY_MS = 1_000


class DeepgramStream:
    """State of one stream."""

    def __init__(self, query: Query, script: SttScript, ear: Ear, now_ms: float, request_id: str = "") -> None:
        self.request_id = request_id or str(uuid.uuid4())
        self._query = query
        self._script = script
        self._ear = ear
        self._due: list[tuple[float, Out]] = []
        self._last_input = now_ms
        self._final_to = 0
        self._told_words = 0
        self._interim_at = 0
        self._started = 0
        self._end_told = True
        self._closing = False

    # --- in ---------------------------------------------------------------------------------------------------------

    @property
    def heard_ms(self) -> int:
        """Audio so far."""
        return self._ear.now_ms

    def binary(self, now_ms: float, data: bytes) -> list[Out]:
        """Audio."""
        if not data:
            return [Offence("an empty binary frame")]
        if self._closing:
            return [Offence("audio after CloseStream")]
        self._last_input = now_ms
        linear = {"mulaw": audioop.ulaw2lin, "alaw": audioop.alaw2lin}.get(self._query.encoding)
        self._ear.hear(linear(data, 2) if linear else data)
        self._judge(now_ms)
        return self.due(now_ms)

    def text(self, now_ms: float, raw: str) -> list[Out]:
        """A text frame."""
        self._last_input = now_ms
        try:
            kind = json.loads(raw)["type"]
        except (ValueError, KeyError, TypeError):
            return [Offence("a text frame that is no object with a type")]
        if kind == "Finalize":
            self._ear.flush()
            if self._ear.now_ms > self._final_to:
                self._final(now_ms, from_finalize=True)
        elif kind == "CloseStream":
            self._ear.flush()
            self._final(now_ms)
            self._queue(now_ms + self._script.final_delay_ms, Say(self._metadata()))
            self._queue(now_ms + self._script.final_delay_ms, Close(1000))
            self._closing = True
        elif kind != "KeepAlive":
            return [Offence(f"a message of type {kind!r}")]
        return self.due(now_ms)

    # --- time -------------------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        """When :meth:`due` has something to say next."""
        return self._due[0][0] if self._due else self._last_input + IDLE_MS

    def due(self, now_ms: float) -> list[Out]:
        """What is to be sent by now."""
        out: list[Out] = []
        while self._due and self._due[0][0] <= now_ms:
            out.append(self._due.pop(0)[1])
        if not self._due and not self._closing and now_ms - self._last_input >= IDLE_MS:
            self._closing = True
            out.append(Close(1011, NET_0001))
        return out

    # --- results ----------------------------------------------------------------------------------------------------

    def _judge(self, now_ms: float) -> None:
        ear, query = self._ear, self._query
        if query.vad_events and len(ear.started_ms) > self._started:
            self._started = len(ear.started_ms)
            self._queue(
                now_ms, Say({"type": "SpeechStarted", "channel": [0, 1], "timestamp": ear.started_ms[-1] / 1000})
            )
        if len(ear.words) > self._told_words:
            self._end_told = False
        waiting = len(ear.words) > self._told_words
        if waiting and query.endpointing_ms is not None and ear.silence_ms >= max(query.endpointing_ms, 20):
            ear.flush()
            self._final(now_ms, speech_final=True)
        elif ear.now_ms - self._final_to >= self._script.piece_ms and ear.silence_ms > 0:
            self._final(now_ms)
        elif query.interim_results:
            every = self._script.partial_every_ms if waiting else _EMPTY_EVERY_MS
            if ear.now_ms - self._interim_at >= every:
                self._interim_at = ear.now_ms
                self._queue(now_ms, Say(self._results(ear.words[self._told_words :], final=False)))
        self._utterance_end(now_ms)

    def _utterance_end(self, now_ms: float) -> None:
        wanted, words = self._query.utterance_end_ms, self._ear.words
        if wanted and words and not self._end_told and self._ear.now_ms - words[-1].end_ms >= wanted:
            self._end_told = True
            body = {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": words[-1].end_ms / 1000}
            self._queue(now_ms, Say(body))

    def _final(self, now_ms: float, *, speech_final: bool = False, from_finalize: bool = False) -> None:
        words = self._ear.words[self._told_words :]
        body = self._results(words, final=True) | {"speech_final": speech_final or from_finalize}
        if from_finalize:
            body["from_finalize"] = True
        self._told_words = len(self._ear.words)
        self._final_to = self._interim_at = self._ear.now_ms
        self._queue(now_ms + self._script.final_delay_ms, Say(body))

    def _results(self, words: list[HeardWord], *, final: bool) -> dict[str, Any]:
        transcript = " ".join(word.text for word in words)
        alternative = {"transcript": transcript, "confidence": 0.98 if words else 0.0, "words": [*map(_word, words)]}
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "start": self._final_to / 1000,
            "duration": (self._ear.now_ms - self._final_to) / 1000,
            "is_final": final,
            "speech_final": False,
            "channel": {"alternatives": [alternative]},
            "metadata": {
                "request_id": self.request_id,
                "model_info": {"name": self._query.model, "version": "2024-01-09.0", "arch": "nova-2"},
                "model_uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, self._query.model)),
            },
        }

    def _metadata(self) -> dict[str, Any]:
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self.request_id,
            "sha256": "0" * 64,
            "created": "2026-01-01T00:00:00.000Z",
            "duration": self._ear.now_ms / 1000,
            "channels": self._query.channels,
        }

    def _queue(self, at_ms: float, out: Out) -> None:
        # Nothing overtakes: what is said later comes later.
        self._due.append((max(at_ms, self._due[-1][0] if self._due else at_ms), out))


def _word(word: HeardWord) -> dict[str, Any]:
    return {
        "word": word.text.strip(".,?!¿¡").lower(),
        "punctuated_word": word.text,
        "start": word.start_ms / 1000,
        "end": word.end_ms / 1000,
        "confidence": 0.98,
    }

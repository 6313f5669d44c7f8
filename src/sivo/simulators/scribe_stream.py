"""One Scribe v2 realtime stream from the server's side, without I/O.

As documented: only ``input_audio_chunk`` comes in; a manual commit needs 0.3 s of uncommitted audio and gives one
``committed_transcript`` (and its pair with timestamps when asked for); partials hold the whole uncommitted text; a
stream on which nothing comes for some seconds is closed with 1000. Source:
https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
"""

from __future__ import annotations

import audioop
import base64
import binascii
import json
import uuid
from dataclasses import dataclass
from typing import Any

from sivo.simulators.ear import Ear, HeardWord
from sivo.simulators.script import SttScript
from sivo.simulators.stt_connection import Close, Offence, Out, Say

IDLE_MS = 5_000
MIN_COMMIT_MS = 300
#: A chunk holds a second of audio at most.
MAX_CHUNK_MS = 1_000
_FIELDS = {"message_type", "audio_base_64", "commit", "sample_rate", "previous_text"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a stream was opened with."""

    model_id: str
    audio_format: str = "pcm_16000"
    commit_strategy: str = "manual"
    language_code: str = ""
    include_timestamps: bool = False
    vad_silence_threshold_secs: float = 1.5


class ScribeStream:
    """State of one stream. ``twice``: committed transcripts come twice, as has been seen."""

    def __init__(self, settings: Settings, script: SttScript, ear: Ear, now_ms: float, *, twice: bool = False) -> None:
        self._settings = settings
        self._script = script
        self._ear = ear
        self._twice = twice
        self._due: list[tuple[float, Out]] = []
        self._last_input = now_ms
        self._committed_to = 0
        self._told_words = 0
        self._partial_at = 0
        self._partial = ""
        self._chunks = 0
        self._closing = False

    @property
    def heard_ms(self) -> int:
        """Audio so far."""
        return self._ear.now_ms

    def greeting(self) -> list[Out]:
        """``session_started``."""
        config = {
            "model_id": self._settings.model_id,
            "audio_format": self._settings.audio_format,
            "sample_rate": 8000,
            "language_code": self._settings.language_code or None,
            "vad_commit_strategy": self._settings.commit_strategy == "vad",
            "include_timestamps": self._settings.include_timestamps,
        }
        return [Say({"message_type": "session_started", "session_id": uuid.uuid4().hex, "config": config})]

    # --- in ---------------------------------------------------------------------------------------------------------

    def binary(self, now_ms: float, data: bytes) -> list[Out]:
        """Not part of the protocol."""
        return self._error("input_error", "binary frames are not supported", offence=True)

    def text(self, now_ms: float, raw: str) -> list[Out]:
        """A chunk."""
        self._last_input = now_ms
        try:
            body = json.loads(raw)
            audio = base64.b64decode(body["audio_base_64"], validate=True)
            assert body["message_type"] == "input_audio_chunk"
            assert set(body) <= _FIELDS
            assert body["sample_rate"] == 8000
            commit = bool(body["commit"])
        except (ValueError, KeyError, TypeError, AssertionError, binascii.Error):
            return self._error("input_error", "the message is no input_audio_chunk", offence=True)
        if body.get("previous_text") and self._chunks:
            return self._error("invalid_request", "previous_text is only for the first chunk", offence=True)
        self._chunks += 1
        return self._chunk(now_ms, audio, commit)

    def _chunk(self, now_ms: float, audio: bytes, commit: bool) -> list[Out]:
        pcm16 = audioop.ulaw2lin(audio, 2) if self._settings.audio_format == "ulaw_8000" else audio
        if len(pcm16) > MAX_CHUNK_MS * 16:
            return self._error("chunk_size_exceeded", "a chunk holds one second at most", offence=True)
        self._ear.hear(pcm16)
        if commit and self._ear.now_ms - self._committed_to < MIN_COMMIT_MS:
            got = (self._ear.now_ms - self._committed_to) / 1000
            text = f"Commit request ignored: only {got:.2f}s of uncommitted audio."
            self._queue(now_ms, Say({"message_type": "commit_throttled", "error": text}))
            return [Offence("a commit under 0.3 s of audio"), *self.due(now_ms)]
        if commit or self._vad_ends():
            self._commit(now_ms)
        else:
            self._tell_partial(now_ms)
        return self.due(now_ms)

    def _vad_ends(self) -> bool:
        waiting = len(self._ear.words) > self._told_words
        silence = self._settings.vad_silence_threshold_secs * 1000
        return self._settings.commit_strategy == "vad" and waiting and self._ear.silence_ms >= silence

    # --- time -------------------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        """When :meth:`due` has something to say next."""
        return self._due[0][0] if self._due else self._last_input + IDLE_MS

    def due(self, now_ms: float) -> list[Out]:
        """What is to be sent by now."""
        out: list[Out] = []
        while self._due and self._due[0][0] <= now_ms:
            out.append(self._due.pop(0)[1])
        if not self._closing and now_ms - self._last_input >= IDLE_MS:
            self._closing = True
            out.append(Close(1000, "idle"))
        return out

    # --- transcripts ------------------------------------------------------------------------------------------------

    def _tell_partial(self, now_ms: float) -> None:
        text = _text(self._ear.words[self._told_words :])
        if text != self._partial and self._ear.now_ms - self._partial_at >= self._script.partial_every_ms:
            self._partial, self._partial_at = text, self._ear.now_ms
            self._queue(now_ms, Say({"message_type": "partial_transcript", "text": text}))

    def _commit(self, now_ms: float) -> None:
        self._ear.flush()
        words = self._ear.words[self._told_words :]
        self._told_words, self._committed_to, self._partial = len(self._ear.words), self._ear.now_ms, ""
        at = now_ms + self._script.final_delay_ms
        for _ in range(2 if self._twice else 1):
            self._queue(at, Say({"message_type": "committed_transcript", "text": _text(words)}))
            if self._settings.include_timestamps:
                self._queue(at, Say(self._with_timestamps(words)))

    def _with_timestamps(self, words: list[HeardWord]) -> dict[str, Any]:
        return {
            "message_type": "committed_transcript_with_timestamps",
            "text": _text(words),
            "language_code": self._settings.language_code or "en",
            "words": [
                {"text": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000, "type": "word"}
                for word in words
            ],
        }

    def _error(self, kind: str, text: str, *, offence: bool = False) -> list[Out]:
        self._closing = True
        said: list[Out] = [Say({"message_type": kind, "error": text}), Close(1008, text)]
        return [Offence(text), *said] if offence else said

    def _queue(self, at_ms: float, out: Out) -> None:
        self._due.append((max(at_ms, self._due[-1][0] if self._due else at_ms), out))


def _text(words: list[HeardWord]) -> str:
    return " ".join(word.text for word in words)

"""How a simulated recogniser hears: tones are words by a table, voice is the next scripted utterance.

Pure: audio in, words with their times out. Times are milliseconds of the stream.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from sivo.simulators.script import SttScript

FRAME_MS, FRAME_BYTES = 20, 320
#: Softer than this (RMS of PCM16) is silence.
_LEVEL = 150.0
#: A tone has this share of its energy in three neighbouring bins of 50 Hz.
_PURE = 0.8
_TONE_FRAMES = 3
_VOICE_FRAMES = 5
#: A tone that comes again after a shorter silence is still the same word.
_HOLE_MS = 140
#: A gap in voice that ends an utterance.
_GAP_MS = 300
_WINDOW = np.hanning(160)


@dataclass(slots=True)
class HeardWord:
    """A word and where it stands in the stream."""

    text: str
    start_ms: int
    end_ms: int


class Ear:
    """One stream. ``memory`` belongs to the account: audio that comes a second time (a client that replays after a
    reconnect) is heard as the same words."""

    def __init__(self, script: SttScript, memory: dict[str, Any]) -> None:
        self.words: list[HeardWord] = []
        self.now_ms = 0
        #: End of the last sound, -1 before the first.
        self.sound_end_ms = -1
        #: Begins of sounds, for ``SpeechStarted``.
        self.started_ms: list[int] = []
        self._script = script
        self._seen: dict[str, str] = memory.setdefault("utterances", {})
        self._pending = b""
        self._tone: tuple[int, int] | None = None  # Hz, start
        self._tone_word: HeardWord | None = None
        self._voice: list[bytes] = []
        self._voice_start = -1
        self._rest: list[str] | None = None  # words of the current utterance that were not said yet

    def hear(self, pcm16_8k: bytes) -> None:
        """Take audio in."""
        self._pending += pcm16_8k
        while len(self._pending) >= FRAME_BYTES:
            frame, self._pending = self._pending[:FRAME_BYTES], self._pending[FRAME_BYTES:]
            self._frame(frame)
            self.now_ms += FRAME_MS

    @property
    def silence_ms(self) -> int:
        """Since the last sound."""
        return self.now_ms - max(self.sound_end_ms, 0)

    def flush(self) -> None:
        """The client wants everything now: an utterance whose sound is over is complete."""
        if self._voice_start >= 0 and self.silence_ms > 0:
            self._end_voice()

    def _frame(self, frame: bytes) -> None:
        samples = np.frombuffer(frame, "<i2").astype(float)
        level = float(np.sqrt((samples**2).mean()))
        hertz = _pitch(samples) if level >= _LEVEL and self._script.tones else 0
        self._hear_tone(hertz)
        voiced = level >= _LEVEL and not self._script.tones
        if level >= _LEVEL and (voiced or hertz):
            if self.silence_ms >= _GAP_MS or self.sound_end_ms < 0:
                self.started_ms.append(self.now_ms)
            self.sound_end_ms = self.now_ms + FRAME_MS
        self._hear_voice(frame, voiced)

    def _hear_tone(self, hertz: int) -> None:
        if self._tone is None or self._tone[0] != hertz:
            self._tone, self._tone_word = (hertz, self.now_ms) if hertz else None, self._gone_on(hertz)
            return
        end = self.now_ms + FRAME_MS
        text = self._script.tones.get(hertz)
        if self._tone_word is not None:
            self._tone_word.end_ms = end
        elif text is not None and end - self._tone[1] >= _TONE_FRAMES * FRAME_MS:
            self._tone_word = HeardWord(text, self._tone[1], end)
            self.words.append(self._tone_word)

    def _gone_on(self, hertz: int) -> HeardWord | None:
        """The last word, when this is its tone again after a hole: a line that stalls makes no new word."""
        last = self.words[-1] if self.words else None
        if not hertz or last is None or self._script.tones.get(hertz) != last.text:
            return None
        return last if self.now_ms - last.end_ms <= _HOLE_MS else None

    def _hear_voice(self, frame: bytes, voiced: bool) -> None:
        if self._voice_start >= 0 and not voiced and self.silence_ms >= _GAP_MS:
            self._end_voice()
        if not voiced:
            return
        if self._voice_start < 0:
            self._voice_start, self._voice, self._rest = self.now_ms, [], None
        if self._rest is None:
            self._voice.append(frame)
            if len(self._voice) == _VOICE_FRAMES:
                self._rest = self._utterance(b"".join(self._voice)).split()
        spoken = self.now_ms + FRAME_MS - self._voice_start
        count = sum(word.start_ms >= self._voice_start for word in self.words)
        if self._rest and spoken >= (count + 1) * self._script.word_ms:
            self._say(self._voice_start + count * self._script.word_ms)

    def _say(self, start_ms: int) -> None:
        assert self._rest
        end = min(start_ms + self._script.word_ms, self.sound_end_ms)
        self.words.append(HeardWord(self._rest.pop(0), min(start_ms, end), end))

    def _end_voice(self) -> None:
        while self._rest:
            self._say(self.words[-1].end_ms if self.words else self._voice_start)
        self._voice_start, self._rest = -1, None

    def _utterance(self, beginning: bytes) -> str:
        name = hashlib.sha256(beginning).hexdigest()
        if name not in self._seen:
            texts = self._script.utterances or [""]
            self._seen[name] = texts[min(len(self._seen), len(texts) - 1)]
        return self._seen[name]


def _pitch(samples: np.ndarray[Any, Any]) -> int:
    """Frequency of a pure tone to the nearest 50 Hz; 0 for anything else."""
    power = np.abs(np.fft.rfft(samples * _WINDOW)) ** 2
    top = int(power[1:].argmax()) + 1
    if power[max(top - 1, 0) : top + 2].sum() < _PURE * power.sum():
        return 0
    return top * 50

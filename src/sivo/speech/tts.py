"""Text-to-speech behind one interface: one sentence in, PCM16 at 8 kHz out while it is being made."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from functools import lru_cache
from typing import Protocol

import numpy as np

from sivo.media.protocol import Stage
from sivo.speech.alignment import Alignment

RATE = 8_000
BYTES_PER_MS = 16


class Synthesizer(Protocol):
    """One voice of one provider."""

    def speak(self, text: str) -> AsyncGenerator[bytes | Alignment, None]:
        """Audio of ``text`` (PCM16 little-endian mono 8 kHz) in pieces of any even size; before a piece, where the
        provider gives one, the alignment of everything up to and including that piece.

        Raises :class:`sivo.speech.faults.ProviderError` before or between pieces. Closing the iterator ends it.
        """
        ...

    async def close(self) -> None:
        """Let the provider go; nothing is asked of it afterwards."""
        ...


class PhraseCache:
    """Audio of fixed phrases (greeting, filler, apology …), kept across the calls of a process.

    The key holds a digest of the credential, so one tenant never plays what another one's account made. Bounded by
    size; the phrase not used for longest goes first.
    """

    def __init__(self, max_bytes: int = 32 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._audio: OrderedDict[bytes, bytes] = OrderedDict()

    @staticmethod
    def _key(stage: Stage, text: str) -> bytes:
        parts = (stage.protocol, stage.base_url, stage.model, stage.api_key, stage.language, stage.voice, text)
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()

    def get(self, stage: Stage, text: str) -> bytes | None:
        """The audio, or None."""
        key = self._key(stage, text)
        audio = self._audio.get(key)
        if audio is not None:
            self._audio.move_to_end(key)
        return audio

    def put(self, stage: Stage, text: str, audio: bytes) -> None:
        """Keep the audio of a phrase; one larger than a quarter of the cache is not kept."""
        if not audio or len(audio) > self._max_bytes // 4:
            return
        key = self._key(stage, text)
        self._size += len(audio) - len(self._audio.pop(key, b""))
        self._audio[key] = audio
        while self._size > self._max_bytes:
            _, dropped = self._audio.popitem(last=False)
            self._size -= len(dropped)


@lru_cache(maxsize=1)
def neutral_tone() -> bytes:
    """Two soft notes, 0.6 s: what is played when no voice is available at all."""
    notes = []
    for pitch in (523.25, 392.0):
        time = np.arange(int(0.3 * RATE)) / RATE
        envelope = np.minimum(1.0, np.minimum(time / 0.02, (0.3 - time) / 0.08))
        notes.append(5000 * envelope * np.sin(2 * np.pi * pitch * time))
    return np.concatenate(notes).astype("<i2").tobytes()

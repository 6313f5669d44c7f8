"""Speech made of tones: each word is a burst of one pitch, so that a simulated recogniser can say exactly what came."""

from __future__ import annotations

import audioop

import numpy as np

#: Pitch by word; multiples of 50 Hz, apart from each other.
PITCHES = (500, 650, 800, 950, 1100, 1250, 1400, 1550, 1700, 1850)


def table(words: str) -> dict[int, str]:
    """The recogniser's table for these words."""
    return dict(zip(PITCHES, words.split(), strict=False))


def tone(hertz: int, ms: int) -> bytes:
    """PCM16, 8 kHz."""
    samples = 8000 * np.sin(2 * np.pi * hertz * np.arange(8 * ms) / 8000)
    return samples.astype("<i2").tobytes()


def silence(ms: int) -> bytes:
    """PCM16, 8 kHz."""
    return bytes(16 * ms)


def speak(words: str, heard: dict[int, str], *, word_ms: int = 200, gap_ms: int = 60) -> bytes:
    """The words one after the other, 20 ms frames kept whole."""
    pitch = {word: hertz for hertz, word in heard.items()}
    return b"".join(tone(pitch[word], word_ms) + silence(gap_ms) for word in words.split())


def ulaw_frames(pcm16: bytes) -> list[bytes]:
    """20 ms PCMU frames."""
    return [audioop.lin2ulaw(pcm16[at : at + 320], 2) for at in range(0, len(pcm16), 320)]

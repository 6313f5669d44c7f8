"""DTMF as sound (ITU-T Q.23, Q.24): recognised in the audio of carriers that send no telephone events, and made for
peers that take none.

Recognition looks at 20 ms every 10 ms: the two strongest of the eight frequencies must hold most of the energy, stand
out of their groups, be of similar strength and have no strong second harmonic (a voice does). Three looks in a row
make a key, so that 40 ms are enough; the key is over after 30 ms without it.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from sivo.media import codec
from sivo.media.dtmf import DIGITS, Press

LOW = (697, 770, 852, 941)
HIGH = (1209, 1336, 1477, 1633)
_KEYS = ("123A", "456B", "789C", "*0#D")

_SIZE, _HOP = 160, 80
_HOP_MS = 10
_LOOKS, _MISSES = 3, 3
#: Sum of squares of one look below which nothing is a key (-36 dBFS for both tones together).
_FLOOR = _SIZE * (32768 * 10 ** (-36 / 20)) ** 2
#: Share of the energy that the two tones must hold; what the strongest of a group must be above the next of it.
_SHARE = 0.62
_STAND_OUT = 4.0  # 6 dB
#: High over low and low over high: Q.24 asks for 4 and 8 dB at least to be accepted.
_TWIST_HIGH, _TWIST_LOW = 4.0, 8.0
_HARMONIC = 0.15


def _probe() -> np.ndarray:
    frequencies = np.array((*LOW, *HIGH, *(2 * f for f in (*LOW, *HIGH))))
    turns = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(_SIZE)) / 8000)
    scaled: np.ndarray = turns * np.sqrt(2 / _SIZE)
    return scaled


_PROBE = _probe()


class ToneDetector:
    """Finds keys in one voice's PCM16. Feed it every frame that was heard."""

    def __init__(self) -> None:
        self._tail = np.zeros(_SIZE - _HOP)
        self._candidate = ""
        self._looks = 0
        self._misses = 0
        self._key = ""
        self._length = 0

    def put(self, pcm16: bytes) -> list[Press]:
        """Take 20 ms; keys that are over now."""
        samples = np.concatenate((self._tail, np.frombuffer(pcm16, "<i2").astype(float)))
        over: list[Press] = []
        for start in range(0, len(samples) - _SIZE + 1, _HOP):
            press = self._look(_key_in(samples[start : start + _SIZE]))
            if press is not None:
                over.append(press)
        self._tail = samples[-(_SIZE - _HOP) :]
        return over

    def _look(self, key: str) -> Press | None:
        self._looks = self._looks + 1 if key and key == self._candidate else bool(key)
        self._candidate = key
        over: Press | None = None
        if self._key:
            self._length += 1
            self._misses = 0 if key == self._key else self._misses + 1
            if self._misses >= _MISSES or (self._looks >= _LOOKS and key != self._key):
                over = Press(self._key, (self._length - self._misses + 1) * _HOP_MS)
                self._key = ""
        if not self._key and self._looks >= _LOOKS:
            self._key, self._length, self._misses = key, self._looks, 0
        return over


def _key_in(samples: np.ndarray) -> str:
    """The key whose two tones these 20 ms are, or nothing."""
    energy = float(samples @ samples)
    if energy < _FLOOR:
        return ""
    powers = np.abs(_PROBE @ samples) ** 2
    low, high = powers[:4], powers[4:8]
    row, column = int(low.argmax()), int(high.argmax())
    one, two = float(low[row]), float(high[column])
    if one + two < _SHARE * energy or two > one * 10 ** (_TWIST_HIGH / 10) or one > two * 10 ** (_TWIST_LOW / 10):
        return ""
    if _next_best(low, row) * _STAND_OUT > one or _next_best(high, column) * _STAND_OUT > two:
        return ""
    if powers[8 + row] > _HARMONIC * one or powers[12 + column] > _HARMONIC * two:
        return ""
    return _KEYS[row][column]


def _next_best(group: np.ndarray, best: int) -> float:
    return float(np.delete(group, best).max())


class ToneSender:
    """Plays digits as sound: 100 ms each, 80 ms between two, frame by frame."""

    TICKS, GAP_TICKS = 5, 4

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()

    @property
    def busy(self) -> bool:
        """True while something is still to be played."""
        return bool(self._frames)

    def queue(self, digits: str) -> None:
        """Add digits. ``ValueError`` for anything that is not 0-9 * # A-D."""
        upper = digits.upper()
        wrong = sorted(set(upper) - set(DIGITS))
        if wrong:
            raise ValueError(f"not a DTMF digit: {' '.join(wrong)}")
        for digit in upper:
            sound = make(digit, self.TICKS * codec.FRAME_MS)
            self._frames.extend(sound[n : n + 320] for n in range(0, len(sound), 320))
            self._frames.extend([codec.SILENCE_PCM] * self.GAP_TICKS)

    def next(self) -> bytes | None:
        """The next 20 ms as PCM16."""
        return self._frames.popleft() if self._frames else None


def make(digit: str, ms: int, level_db: float = -10.0) -> bytes:
    """A key as PCM16, 8 kHz; ``level_db`` of each tone against full scale."""
    row = next(n for n, keys in enumerate(_KEYS) if digit in keys)
    pair = LOW[row], HIGH[_KEYS[row].index(digit)]
    time = np.arange(ms * codec.SAMPLES_PER_MS) / 8000
    amplitude = 32767 * math.pow(10, level_db / 20)
    sound = sum(amplitude * np.sin(2 * np.pi * f * time) for f in pair)
    return bytes(np.clip(sound, -32768, 32767).astype("<i2").tobytes())

"""Sample-rate conversion, WAV reading and level for the local speech role. Samples are float32 at 16-bit scale."""

from __future__ import annotations

import io
import math
import wave

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

#: Sinc lobes on each side of a sample at the lower of the two rates; 12 keep images under -60 dB.
_LOBES = 12


class Resampler:
    """Streaming conversion between two fixed rates (Hz) by a windowed-sinc polyphase filter."""

    def __init__(self, source: int, target: int) -> None:
        common = math.gcd(source, target)
        self._step, self._phases = source // common, target // common
        cutoff = min(1.0, target / source) * 0.95
        self._half = math.ceil(_LOBES / min(1.0, target / source))
        offsets = np.arange(-self._half + 1, self._half + 1)
        fractions = np.arange(self._phases)[:, None] / self._phases
        distance = offsets[None, :] - fractions
        window = np.where(np.abs(distance) < self._half, 0.5 + 0.5 * np.cos(np.pi * distance / self._half), 0.0)
        table = cutoff * np.sinc(cutoff * distance) * window
        self._table = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
        self._tail: Samples = np.zeros(self._half - 1, np.float32)
        #: Position of the next output sample, in source samples times phases, from the start of the tail's centre.
        self._position = 0

    def feed(self, samples: Samples) -> Samples:
        """Convert what can be converted; the last few samples wait for the next call or for :meth:`flush`."""
        data = np.concatenate([self._tail, samples])
        usable = len(data) - (2 * self._half - 1)
        count = max(0, (usable * self._phases - self._position + self._step - 1) // self._step)
        ticks = self._position + self._step * np.arange(count)
        first, phase = ticks // self._phases, ticks % self._phases
        taken = data[first[:, None] + np.arange(2 * self._half)]
        result: Samples = np.einsum("ij,ij->i", taken, self._table[phase]).astype(np.float32)
        self._position += self._step * count
        skip = min(self._position // self._phases, len(data))
        self._tail = data[skip:]
        self._position -= skip * self._phases
        return result

    def flush(self) -> Samples:
        """What the filter still held."""
        return self.feed(np.zeros(self._half, np.float32))


def resample(samples: Samples, source: int, target: int) -> Samples:
    """The whole of ``samples`` at ``target`` Hz."""
    if source == target:
        return samples
    converter = Resampler(source, target)
    return np.concatenate([converter.feed(samples), converter.flush()])


def from_pcm16(data: bytes) -> Samples:
    """Little-endian 16-bit samples as floats of the same scale."""
    samples: Samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32)
    return samples


def to_pcm16(samples: Samples) -> bytes:
    """Floats at 16-bit scale as little-endian 16-bit samples, clipped."""
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def read_wav(data: bytes) -> tuple[Samples, int]:
    """First channel and sample rate (8 to 48 kHz) of a 16-bit PCM WAV; ``ValueError`` says what is wrong."""
    try:
        with wave.open(io.BytesIO(data)) as source:
            rate, width, channels = source.getframerate(), source.getsampwidth(), source.getnchannels()
            raw = source.readframes(source.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"not a PCM WAV file: {error}") from error
    if width != 2:
        raise ValueError(f"samples of {8 * width} bits; 16 are needed")
    if not 8000 <= rate <= 48000:
        raise ValueError(f"a sample rate of {rate} Hz; 8000 to 48000 are possible")
    return from_pcm16(raw)[::channels], rate


def wav_header(rate: int, frames: int | None = None) -> bytes:
    """Header of a mono 16-bit WAV; without ``frames`` the length is left open, as streaming servers do."""
    size = 0xFFFFFFFF - 36 if frames is None else 2 * frames
    head = b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + rate.to_bytes(4, "little")
    head += (2 * rate).to_bytes(4, "little") + (2).to_bytes(2, "little") + (16).to_bytes(2, "little")
    return head + b"data" + size.to_bytes(4, "little")

"""Streaming change of sample rate by a rational factor: a windowed-sinc polyphase filter on numpy.

24 kHz -> 8 kHz (3:1) is what OpenAI-compatible synthesis needs, 8 kHz -> 16 kHz (1:2) what recognisers want. Everything
above the lower of the two Nyquist frequencies is kept at least 60 dB down.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

_ZEROS = 20  # zero crossings of the sinc on each side, at the lower rate
_BETA = 8.0  # Kaiser window: about 80 dB
_PASS = 0.92  # cut-off as a share of the lower Nyquist frequency

_Floats = npt.NDArray[np.float32]


@lru_cache(maxsize=16)
def _bank(up: int, down: int) -> _Floats:
    """The filter as ``up`` phases, newest sample first."""
    ratio = max(up, down)
    half = _ZEROS * ratio
    places = np.arange(-half, half + 1)
    taps = np.sinc(places * _PASS / ratio) * np.kaiser(2 * half + 1, _BETA)
    taps *= up / taps.sum()
    taps = np.pad(taps, (0, -len(taps) % up))
    return np.ascontiguousarray(taps.reshape(-1, up).T.astype(np.float32))


class Resampler:
    """PCM16 mono in, PCM16 mono out, at another rate. Keeps a few milliseconds until :meth:`flush`."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if from_hz <= 0 or to_hz <= 0:
            raise ValueError(f"sample rates are positive: {from_hz} -> {to_hz}")
        common = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        self._same = from_hz == to_hz
        self._bank = _bank(self._up, self._down)
        taps = self._bank.shape[1]
        self._delay = _ZEROS * max(self._up, self._down) // self._up  # of the filter, in input samples
        self._history = np.zeros(taps - 1, np.float32)
        self._next = self._delay * self._up  # place of the next output sample, in 1/up input samples
        self._odd = b""
        self._taken = self._given = 0

    def feed(self, pcm16: bytes) -> bytes:
        """Samples that can be computed now. An odd byte waits for its other half."""
        data = self._odd + pcm16
        self._odd = data[len(data) & ~1 :]
        data = data[: len(data) & ~1]
        if self._same:
            return data
        self._taken += len(data) // 2
        out = self._run(np.frombuffer(data, "<i2").astype(np.float32))
        self._given += len(out)
        return _pcm16(out)

    def flush(self) -> bytes:
        """The rest; the whole output is as long as the input."""
        if self._same:
            return b""
        missing = -(-self._taken * self._up // self._down) - self._given
        out = self._run(np.zeros(self._delay + self._bank.shape[1], np.float32))[: max(missing, 0)]
        self._given += len(out)
        return _pcm16(out)

    def _run(self, samples: _Floats) -> _Floats:
        taps = self._bank.shape[1]
        joined = np.concatenate((self._history, samples))
        count = max(0, -(-(len(samples) * self._up - self._next) // self._down))
        if count == 0:
            out = np.zeros(0, np.float32)
        else:
            places = self._next + self._down * np.arange(count)
            windows = np.lib.stride_tricks.sliding_window_view(joined, taps)[places // self._up, ::-1]
            out = np.einsum("ij,ij->i", windows, self._bank[places % self._up], dtype=np.float32)
        self._next += count * self._down - len(samples) * self._up
        self._history = joined[len(joined) - taps + 1 :]
        return out


def _pcm16(samples: _Floats) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def resample(pcm16: bytes, from_hz: int, to_hz: int) -> bytes:
    """A whole piece of audio at once."""
    resampler = Resampler(from_hz, to_hz)
    return resampler.feed(pcm16) + resampler.flush()

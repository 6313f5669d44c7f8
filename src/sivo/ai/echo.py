"""Is what comes in only the agent's own voice, back from a loudspeaker or a bad line?

Energy envelopes (20 ms) of what was sent and what is heard are correlated over lags of 0 to 400 ms. It is an echo when
they go together (over 0.6) and what comes in is at least 6 dB weaker (voice research 6.5).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Longest and shortest stretch that is compared, in frames of 20 ms. Over less than a second two voices go together
#: by chance too often.
_WINDOW, _LEAST = 100, 50
_LAGS = 21
_FRAME_BYTES = 320
_ALIKE = 0.6
_ANSWERED = 0.85
_WEAKER = 10 ** (-6 / 20)
_SILENCE = 30.0  # root mean square below which a frame says nothing


def level(pcm16: bytes) -> float:
    """Root mean square of a piece of PCM16, 0 to 32767."""
    if len(pcm16) < 2:
        return 0.0
    samples = np.frombuffer(pcm16, "<i2").astype(np.float32)
    return float(np.sqrt(np.dot(samples, samples) / len(samples)))


class Envelope:
    """Levels of one utterance, 20 ms each, while it is being made."""

    def __init__(self) -> None:
        self._rest = b""
        self._levels: list[float] = []

    def add(self, pcm16_8k: bytes) -> None:
        """More audio (PCM16, 8 kHz)."""
        data = self._rest + pcm16_8k
        whole = len(data) - len(data) % _FRAME_BYTES
        self._rest = data[whole:]
        if whole:
            frames = np.frombuffer(data[:whole], "<i2").astype(np.float32).reshape(-1, _FRAME_BYTES // 2)
            self._levels += np.sqrt((frames**2).mean(axis=1)).tolist()

    def at(self, offset_ms: int) -> float:
        """Level of the 20 ms around ``offset_ms``; the last one counts for what comes after."""
        return self._levels[min(offset_ms // 20, len(self._levels) - 1)] if self._levels else 0.0


class EchoGuard:
    """Feed both levels of every 20 ms tick, ask when a voice is heard over the agent."""

    def __init__(self) -> None:
        self._sent: npt.NDArray[np.float64] = np.zeros(_WINDOW + _LAGS - 1)
        self._heard: npt.NDArray[np.float64] = np.zeros(_WINDOW)
        self._filled = 0
        self._quiet = _WINDOW

    @property
    def active(self) -> bool:
        """Whether the agent was heard within the last two seconds; until then nothing has to be fed."""
        return self._quiet < _WINDOW

    def tick(self, sent: float, heard: float) -> None:
        """Levels of the frame that was sent and of the frame that was heard in this tick."""
        self._sent[:-1] = self._sent[1:]
        self._sent[-1] = sent
        self._heard[:-1] = self._heard[1:]
        self._heard[-1] = heard
        # Counting starts with the agent's speech, so that a long silence before it is not compared.
        self._quiet = 0 if sent > _SILENCE else self._quiet + 1
        self._filled = min(self._filled + 1, _WINDOW) if self.active else 0

    def is_echo(self) -> bool:
        """Whether the last second or two of what was heard are the agent's own voice."""
        length = self._filled
        if length < _LEAST:
            return False
        heard = self._heard[-length:]
        sent = np.lib.stride_tricks.sliding_window_view(self._sent[-(length + _LAGS - 1) :], length)
        heard_level, sent_level = np.sqrt((heard**2).mean()), np.sqrt((sent**2).mean(axis=1))
        heard = heard - heard.mean()
        centred = sent - sent.mean(axis=1, keepdims=True)
        norms = np.sqrt((heard**2).sum() * (centred**2).sum(axis=1))
        alike = np.divide(centred @ heard, norms, out=np.zeros(_LAGS), where=norms > 1e-6)
        best = int(alike.argmax())
        if alike[best] <= _ALIKE or heard_level > sent_level[best] * _WEAKER:
            return False
        return _always_there(self._heard[-length:], sent[best])


def _always_there(heard: npt.NDArray[np.float64], sent: npt.NDArray[np.float64]) -> bool:
    """An echo answers nearly every loud frame of the agent. A caller who has just begun to speak does not, though the
    two voices may rise and fall together for a while by chance."""
    loud = sent > 0.5 * np.sqrt((sent**2).mean())
    gain = float(sent @ heard / (sent @ sent))
    return bool((heard[loud] > 0.3 * gain * sent[loud]).mean() >= _ANSWERED)

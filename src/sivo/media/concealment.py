"""What is played for a packet that did not come: the last pitch period of the voice, repeated and faded.

After ITU-T G.711 Appendix I: the lag of 5 to 15 ms at which the last 20 ms resemble what came before is taken as the
pitch; whole periods go on from there in phase, at full level for 10 ms, then 20 % softer every 10 ms, silent after 60.
The appendix's overlaps at the edges are left out: they cost 3.75 ms of delay in every call, also in one without loss.
"""

from __future__ import annotations

import audioop

from sivo.media import codec

_SHORTEST, _LONGEST = 40, 120  # samples: 200 to 66 Hz
_WINDOW = codec.FRAME_SAMPLES
#: Samples of history that are looked at.
_HISTORY = _WINDOW + _LONGEST
_PIECE = 80  # bytes of 5 ms
#: Gain of every 5 ms of a gap.
_GAINS = (1.0, 1.0, 0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15, 0.05)
#: 20 ms frames that are made up before silence.
FRAMES = len(_GAINS) * _PIECE // (2 * codec.FRAME_SAMPLES)


class Concealment:
    """Remembers the newest voice of one stream and goes on with it."""

    def __init__(self) -> None:
        self._history = bytes(2 * _HISTORY)
        self._period = b""
        self._phase = 0

    def heard(self, pcm16: bytes) -> None:
        """20 ms that were really received."""
        self._history = (self._history + pcm16)[-2 * _HISTORY :]

    def frame(self, number: int) -> bytes:
        """20 ms in the place of the gap's frame ``number`` (0 = first, below :data:`FRAMES`), as PCM16."""
        if number == 0 or not self._period:
            self._period = self._history[-2 * _pitch(self._history) :]
            self._phase = 0
        size = 2 * codec.FRAME_SAMPLES
        turns = self._period * (size // len(self._period) + 2)
        voice = turns[self._phase : self._phase + size]
        self._phase = (self._phase + size) % len(self._period)
        pieces = size // _PIECE
        gains = _GAINS[number * pieces : (number + 1) * pieces]
        return b"".join(
            codec.scale(voice[place * _PIECE : (place + 1) * _PIECE], gain) for place, gain in enumerate(gains)
        )


def _pitch(history: bytes) -> int:
    """Period in samples; for sound without one, the lag that fits best."""
    reference = history[-2 * _WINDOW :]
    if audioop.rms(reference, 2) == 0:
        return _LONGEST
    offset, _ = audioop.findfit(history[: -2 * _SHORTEST], reference)
    return max(_LONGEST - offset, _SHORTEST)

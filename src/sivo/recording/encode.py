"""Two channels of journaled G.711 become one stereo file, as a stream of bytes: caller left, agent right.

Nothing is written to disk here: what leaves this module goes straight into encryption.
"""

from __future__ import annotations

import audioop
import struct
from collections.abc import Iterable, Iterator
from typing import cast

import av
import numpy as np

SAMPLE_RATE = 8000
CHANNELS = 2
_SAMPLE_BYTES = 2
#: Codec of each compressed container; "ogg" means Opus (the reference), which always decodes at 48 kHz.
_CODECS = {"mp3": "libmp3lame", "ogg": "libopus"}
_BIT_RATE = 32_000

#: 20 ms of each channel, PCMU (160 bytes each): caller, agent.
Pair = tuple[bytes, bytes]


def interleave(pair: Pair) -> bytes:
    """One pair of PCMU frames as interleaved 16-bit little-endian stereo."""
    left, right = (audioop.ulaw2lin(channel, _SAMPLE_BYTES) for channel in pair)
    return audioop.add(
        audioop.tostereo(left, _SAMPLE_BYTES, 1, 0), audioop.tostereo(right, _SAMPLE_BYTES, 0, 1), _SAMPLE_BYTES
    )


def wav_header(frames: int, samples_per_frame: int) -> bytes:
    """RIFF header of 16-bit PCM (Microsoft RIFF/WAVE, format 1) for ``frames`` pairs."""
    size = frames * samples_per_frame * CHANNELS * _SAMPLE_BYTES
    return b"RIFF" + struct.pack(
        "<I4s4sIHHIIHH4sI",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        CHANNELS,
        SAMPLE_RATE,
        SAMPLE_RATE * CHANNELS * _SAMPLE_BYTES,
        CHANNELS * _SAMPLE_BYTES,
        16,
        b"data",
        size,
    )


def encode(pairs: Iterable[Pair], frames: int, container: str) -> Iterator[bytes]:
    """The whole file. ``frames`` is how many pairs will come (a WAV header says it in advance).

    ``ValueError`` for a container that the reference does not name.
    """
    if container == "wav":
        return _encode_wav(pairs, frames)
    if container in _CODECS:
        return _encode_compressed(pairs, container)
    raise ValueError(f"recordings are wav, mp3 or ogg, not {container!r}")


def _encode_wav(pairs: Iterable[Pair], frames: int) -> Iterator[bytes]:
    yield wav_header(frames, 160)
    for pair in pairs:
        yield interleave(pair)


class _Pieces:
    """A sink that cannot seek; gives what was written since it was last asked."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _encode_compressed(pairs: Iterable[Pair], container: str) -> Iterator[bytes]:
    pieces = _Pieces()
    with av.open(pieces, "w", format=container) as output:
        stream = cast(av.AudioStream, output.add_stream(_CODECS[container], rate=SAMPLE_RATE, layout="stereo"))
        stream.bit_rate = _BIT_RATE
        position = 0
        for pair in pairs:
            samples = np.frombuffer(interleave(pair), dtype="<i2").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate = SAMPLE_RATE
            frame.pts = position
            position += frame.samples
            output.mux(stream.encode(frame))
            if piece := pieces.take():
                yield piece
        output.mux(stream.encode(None))
    yield pieces.take()

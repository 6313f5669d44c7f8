"""What comes out of the encoder is read back with independent readers."""

from __future__ import annotations

import audioop
import io
import math
import struct
import wave

import av
import numpy as np
import pytest

from sivo.recording.encode import Pair, encode

FRAMES = 250


def tone(hertz: float, index: int) -> bytes:
    samples = [int(8000 * math.sin(2 * math.pi * hertz * (index * 160 + n) / 8000)) for n in range(160)]
    return audioop.lin2ulaw(struct.pack("<160h", *samples), 2)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [(tone(400, index), tone(1000, index)) for index in range(FRAMES)]


def strength(samples: np.ndarray, hertz: float, rate: int) -> float:
    at = np.arange(len(samples))
    return float(abs(np.dot(samples, np.exp(-2j * np.pi * hertz * at / rate))) / len(samples))


def test_wav_is_pcm_stereo_with_the_caller_left(pairs: list[Pair]) -> None:
    with wave.open(io.BytesIO(b"".join(encode(pairs, FRAMES, "wav")))) as heard:
        assert (heard.getnchannels(), heard.getsampwidth(), heard.getframerate()) == (2, 2, 8000)
        assert heard.getnframes() == FRAMES * 160
        samples = np.frombuffer(heard.readframes(heard.getnframes()), dtype="<i2").reshape(-1, 2).astype(float)
    left, right = samples[:, 0], samples[:, 1]
    assert strength(left, 400, 8000) > 100 * strength(left, 1000, 8000)
    assert strength(right, 1000, 8000) > 100 * strength(right, 400, 8000)


@pytest.mark.parametrize(("container", "codec"), [("mp3", "mp3"), ("ogg", "opus")])
def test_compressed_containers_hold_the_named_codec_and_the_whole_call(
    pairs: list[Pair], container: str, codec: str
) -> None:
    data = b"".join(encode(pairs, FRAMES, container))
    with av.open(io.BytesIO(data)) as heard:
        stream = heard.streams.audio[0]
        assert stream.codec_context.name.startswith(codec)
        assert stream.codec_context.channels == 2
        seconds = sum(frame.samples / frame.sample_rate for frame in heard.decode(stream))
    assert seconds == pytest.approx(FRAMES * 0.02, abs=0.25)


def test_another_container_is_refused(pairs: list[Pair]) -> None:
    with pytest.raises(ValueError, match="wav, mp3 or ogg"):
        encode(pairs, FRAMES, "flac")

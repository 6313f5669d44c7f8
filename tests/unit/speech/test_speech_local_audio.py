"""Rates, WAV and levels of the local speech role."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from sivo.speech.local_audio import Resampler, from_pcm16, read_wav, resample, to_pcm16, wav_header


def tone(frequency: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("source", "target"), [(22050, 24000), (8000, 16000), (48000, 16000), (24000, 8000), (44100, 16000)]
)
def test_a_tone_keeps_its_pitch_level_and_length(source: int, target: int) -> None:
    result = resample(tone(1000, source), source, target)
    assert abs(len(result) - target * 0.5) <= 2
    middle = slice(target // 20, -target // 20)
    expected = tone(1000, target)[: len(result)]
    assert np.abs(result[: len(expected)][middle] - expected[middle]).max() < 80  # -40 dB of the tone


def test_what_the_target_cannot_hold_is_gone() -> None:
    result = resample(tone(6000, 48000), 48000, 8000)
    assert np.abs(result[400:-400]).max() < 80


def test_streaming_gives_the_same_as_the_whole() -> None:
    samples = tone(700, 22050)
    converter = Resampler(22050, 24000)
    pieces = [converter.feed(samples[at : at + 333]) for at in range(0, len(samples), 333)]
    streamed = np.concatenate([*pieces, converter.flush()])
    np.testing.assert_allclose(streamed, resample(samples, 22050, 24000), atol=0.01)


def test_pcm_is_clipped_and_an_odd_byte_is_dropped() -> None:
    assert to_pcm16(np.array([1e6, -1e6, 1.4], np.float32)) == b"\xff\x7f\x00\x80\x01\x00"
    assert from_pcm16(b"\x01\x00\x02").tolist() == [1.0]


def test_wav_is_read_with_its_first_channel() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(np.array([[1, 9], [2, 9]], "<i2").tobytes())
    samples, rate = read_wav(buffer.getvalue())
    assert (samples.tolist(), rate) == ([1.0, 2.0], 16000)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"ID3 not a wav at all", wav_header(4000, 2) + b"\0\0\0\0"])
def test_what_is_no_usable_wav_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"WAV|rate"):
        read_wav(data)


def test_our_header_is_understood_by_others() -> None:
    with wave.open(io.BytesIO(wav_header(24000, 3) + b"\0" * 6)) as read:
        assert (read.getframerate(), read.getnframes(), read.getsampwidth(), read.getnchannels()) == (24000, 3, 2, 1)

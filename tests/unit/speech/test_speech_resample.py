"""Change of sample rate: level, length, aliases, pieces of any size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sivo.speech.resample import Resampler, resample

Samples = npt.NDArray[np.float64]


def sine(hz: float, rate: int, ms: int = 1000) -> bytes:
    return (10_000 * np.sin(2 * np.pi * hz * np.arange(rate * ms // 1000) / rate)).astype("<i2").tobytes()


def level_db(audio: bytes, hz: float, rate: int) -> float:
    """Level of one pitch against full 10000 (middle part, without the edges)."""
    samples = np.frombuffer(audio, "<i2").astype(float)
    samples = samples[len(samples) // 4 : -len(samples) // 4]
    samples = samples * np.hanning(len(samples))
    place = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / rate)
    amplitude = 4 * abs((samples * place).sum()) / len(samples)
    return float(20 * np.log10(max(amplitude, 1e-3) / 10_000))


@pytest.mark.parametrize(("source", "target"), [(24_000, 8_000), (8_000, 16_000), (22_050, 8_000), (16_000, 8_000)])
@pytest.mark.parametrize("hz", [300, 1000, 3000, 3400])
def test_telephone_band_keeps_its_level(source: int, target: int, hz: int) -> None:
    out = resample(sine(hz, source), source, target)
    assert len(out) // 2 == target
    assert abs(level_db(out, hz, target)) < 0.5


@pytest.mark.parametrize("hz", [4600, 5000, 7000, 9000, 11_500])
def test_what_does_not_fit_is_gone(hz: int) -> None:
    out = np.frombuffer(resample(sine(hz, 24_000), 24_000, 8_000), "<i2").astype(float)
    middle = out[2000:-2000]
    assert 20 * np.log10(max(np.abs(middle).max(), 1) / 10_000) < -60


def test_images_are_gone() -> None:
    out = resample(sine(1000, 8_000), 8_000, 16_000)
    assert level_db(out, 7000, 16_000) < -60


@pytest.mark.parametrize("size", [1, 2, 3, 320, 333, 4097, 10**6])
def test_pieces_make_the_same_whole(size: int) -> None:
    audio = sine(440, 24_000, 300)
    resampler = Resampler(24_000, 8_000)
    out = b"".join(resampler.feed(audio[place : place + size]) for place in range(0, len(audio), size))
    assert out + resampler.flush() == resample(audio, 24_000, 8_000)


def test_the_sound_is_not_moved_in_time() -> None:
    audio = np.zeros(24_000)
    audio[12_000:12_240] = 10_000 * np.hanning(240)
    out = np.frombuffer(resample(audio.astype("<i2").tobytes(), 24_000, 8_000), "<i2")
    assert abs(int(out.argmax()) - 12_120 // 3) <= 1


def test_little_latency_in_a_stream() -> None:
    resampler = Resampler(24_000, 8_000)
    given = len(resampler.feed(bytes(24_000 * 2 // 10))) // 2
    assert 800 - given <= 8 * 3, "not more than 3 ms are held back"


def test_same_rate_nothing_and_nonsense() -> None:
    assert resample(b"\x01\x00\x02\x00", 8_000, 8_000) == b"\x01\x00\x02\x00"
    assert resample(b"", 24_000, 8_000) == b""
    with pytest.raises(ValueError, match="positive"):
        Resampler(0, 8_000)

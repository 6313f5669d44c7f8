"""Voice activity on generated telephone speech: in noise, after what makes the model drift, in batches, with no model.

The clips were made with flite and espeak-ng, brought to 8 kHz and cut to the voice; they are put between noises here.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sivo.media import codec
from sivo.media.conversation import VadWindow
from sivo.speech import vad
from sivo.speech.vad import SileroBatch

CLIPS = sorted((Path(__file__).parents[2] / "data" / "voice").glob("*.wav"))
Samples = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def batch() -> SileroBatch:
    made = SileroBatch()
    assert made.has_model
    return made


def clip(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


def noise(ms: int, rms: float, seed: int = 7) -> Samples:
    return np.random.default_rng(seed).normal(0, rms, ms * 8)


def pink(ms: int, rms: float) -> Samples:
    spectrum = np.fft.rfft(noise(ms, 1.0))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    made = np.fft.irfft(spectrum, ms * 8)
    return rms * made / made.std()


def notes(ms: int, *pitches: float) -> Samples:
    time = np.arange(ms * 8) / 8000
    return sum((2500 * np.sin(2 * np.pi * pitch * time) for pitch in pitches), start=np.zeros(ms * 8))


def windows(batch: SileroBatch, audio: Samples) -> list[tuple[float, VadWindow]]:
    """(end in ms, verdict), after mu-law as on the wire."""
    data = np.clip(audio, -32000, 32000).astype("<i2").tobytes()
    data = codec.decode(codec.PCMU, codec.encode(codec.PCMU, data))
    slot = batch.open()
    out = []
    for place in range(0, len(data) - 319, 320):
        for window in batch.process([(slot, data[place : place + 320])])[0]:
            out.append((place / 16 + 20 - window.age_ms, window))
    slot.close()
    return out


def onset_delay(batch: SileroBatch, before: Samples, voice: Samples) -> float:
    """From the first sample of voice to the end of the first voiced window after it."""
    start = len(before) / 8
    found = windows(batch, np.concatenate((before, voice, noise(500, 5))))
    return next(end for end, window in found if window.voiced and end > start) - start


@pytest.mark.parametrize("path", CLIPS, ids=[path.stem for path in CLIPS])
@pytest.mark.parametrize("background", ["white 5", "white 100", "pink 300"])
def test_voice_is_found_and_silence_is_not(batch: SileroBatch, path: Path, background: str) -> None:
    voice = clip(path)
    kind, rms = background.split()
    length = 1000 + len(voice) // 8 + 1000
    audio = pink(length, float(rms)) if kind == "pink" else noise(length, float(rms))
    audio[8000 : 8000 + len(voice)] += voice
    found = windows(batch, audio)
    inside = [window.voiced for end, window in found if 1064 < end <= 1000 + len(voice) / 8]
    before = [window.voiced for end, window in found if end <= 1000]
    after = [window.voiced for end, window in found if end > 1000 + len(voice) / 8 + 224]
    assert not any(before)
    assert not any(after)
    assert sum(inside) / len(inside) >= 0.75


@pytest.mark.parametrize("path", CLIPS, ids=[path.stem for path in CLIPS])
def test_every_answer_is_long_enough_to_be_transcribed(batch: SileroBatch, path: Path) -> None:
    found = windows(batch, np.concatenate((noise(500, 5), clip(path), noise(500, 5))))
    assert 32 * sum(window.voiced for _, window in found) >= 160


def test_window_ends_are_told_to_the_millisecond(batch: SileroBatch) -> None:
    ends = [end for end, _ in windows(batch, noise(400, 5))]
    assert ends == [32.0 * (place + 1) for place in range(12)]


DRIFT = {
    "30 s of a ringback tone": notes(30_000, 440),
    "60 s of digital silence": np.zeros(60_000 * 8),
    "30 s of a chord": notes(30_000, 262, 330, 392, 523),
}


@pytest.mark.parametrize("name", DRIFT)
def test_an_onset_is_heard_as_fast_as_in_the_beginning(batch: SileroBatch, name: str) -> None:
    voice = clip(CLIPS[0].with_name("en_order_slt.wav"))
    fresh = onset_delay(batch, noise(1000, 5), voice)
    assert onset_delay(batch, DRIFT[name], voice) <= fresh + 64


def test_the_drift_is_real_and_the_reset_is_what_cures_it(batch: SileroBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = clip(CLIPS[0].with_name("en_order_slt.wav"))
    cured = onset_delay(batch, DRIFT["30 s of a chord"], voice)
    monkeypatch.setattr(vad, "RESET_WINDOWS", 10**9)
    assert onset_delay(batch, DRIFT["30 s of a chord"], voice) > cured + 200


@pytest.mark.parametrize("name", DRIFT)
def test_tones_and_silence_are_no_voice(batch: SileroBatch, name: str) -> None:
    found = windows(batch, DRIFT[name][: 15_000 * 8])
    assert sum(window.voiced for _, window in found) <= 2


def test_many_voices_in_one_run_get_what_each_gets_alone(batch: SileroBatch) -> None:
    voices = [
        np.concatenate((noise(100 * place + 100, 5), clip(path), noise(600, 5))) for place, path in enumerate(CLIPS)
    ]
    alone = [[window for _, window in windows(batch, voice)] for voice in voices]
    data = [codec.decode(codec.PCMU, codec.encode(codec.PCMU, voice.astype("<i2").tobytes())) for voice in voices]
    slots = [batch.open() for _ in voices]
    together: list[list[VadWindow]] = [[] for _ in voices]
    for tick in range(max(len(item) for item in data) // 320):
        frames = [(place, item[tick * 320 : tick * 320 + 320]) for place, item in enumerate(data)]
        frames = [(place, frame) for place, frame in frames if len(frame) == 320]
        results = batch.process([(slots[place], frame) for place, frame in frames])
        for (place, _), found in zip(frames, results, strict=True):
            together[place] += found
    for one, other in zip(alone, together, strict=True):
        assert [window.voiced for window in one] == [window.voiced for window in other]
        assert np.allclose([window.probability for window in one], [window.probability for window in other], atol=1e-3)


def test_without_the_model_the_gate_decides(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path / "broken.onnx"):
        if path.stem == "broken":
            path.write_bytes(b"not a model")
        gate = SileroBatch(path)
        assert not gate.has_model
        found = windows(gate, np.concatenate((noise(500, 5), clip(CLIPS[-1]), noise(800, 5))))
        assert 32 * sum(window.voiced for _, window in found) >= 160
        assert not any(window.voiced for end, window in found if end < 450)
        assert not any(window.voiced for _, window in found[-10:])


def test_a_closed_slot_is_refused_and_a_reset_one_forgets(batch: SileroBatch) -> None:
    slot = batch.open()
    batch.process([(slot, bytes(320))])
    slot.reset()
    assert batch.process([(slot, bytes(320))]) == [[]], "half a window was forgotten"
    slot.close()
    with pytest.raises(ValueError, match="closed"):
        batch.process([(slot, bytes(320))])

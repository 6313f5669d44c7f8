"""Sound for the demo's caller: G.711 mu-law, WAV files of 8 kHz, loudness. Shares nothing with ``media``."""

from __future__ import annotations

import wave
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
SILENCE = b"\xff" * FRAME
Pcm = NDArray[np.int16]


def _decoding_table() -> Pcm:
    codes = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((codes & 0x0F) << 3) + 0x84 << ((codes >> 4) & 7)) - 0x84
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)


_DECODED = _decoding_table()


def decode(payload: bytes) -> Pcm:
    """Samples of a mu-law payload."""
    return _DECODED[np.frombuffer(payload, np.uint8)]


def encode(samples: Pcm) -> bytes:
    """Mu-law of 16-bit samples: the code whose value is nearest."""
    order = np.argsort(_DECODED, kind="stable")
    values = _DECODED[order].astype(np.int32)
    upper = np.clip(np.searchsorted(values, samples), 1, 255)
    nearer = np.where(samples - values[upper - 1] <= values[upper] - samples, upper - 1, upper)
    return order[nearer].astype(np.uint8).tobytes()


def loudness(payload: bytes) -> float:
    """Root mean square of a mu-law payload at 16-bit scale."""
    samples = decode(payload).astype(np.float64)
    return float(np.sqrt((samples**2).mean())) if len(samples) else 0.0


def clip_frames(name: str) -> list[bytes]:
    """The prepared clip ``name`` as 20 ms mu-law frames, the last one filled with silence."""
    with files("sivo.demo").joinpath("clips", f"{name}.wav").open("rb") as raw, wave.open(raw) as clip:
        if (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"clip {name} is not 8 kHz mono 16-bit")
        data = encode(np.frombuffer(clip.readframes(clip.getnframes()), "<i2"))
    data += SILENCE[: -len(data) % FRAME]
    return [data[at : at + FRAME] for at in range(0, len(data), FRAME)]


def write_wav(path: Path, mulaw: bytes) -> None:
    """Store what was heard as 16-bit WAV."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(decode(mulaw).astype("<i2").tobytes())

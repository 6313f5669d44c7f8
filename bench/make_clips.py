"""Make the demo caller's clips with flite: 8 kHz, mono, 16 bit, silence around the words cut off.

    python bench/make_clips.py

Needs ``flite`` on the PATH (BSD-like licence; the voice rms is built in). The clips are in the repository; run this
only to change what the caller says.
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from sivo.speech.local_audio import read_wav, resample, to_pcm16

CLIPS = Path(__file__).parents[1] / "src/sivo/demo/clips"
RATE = 8000
SAYS = {
    "order_question": "I would like to check the status of my last order",
    "interruption": "Excuse me, when will it arrive?",
    "yes": "yes",
    "goodbye": "No thank you. Goodbye.",
    "transfer": "I want to speak to a person",
}


def synthesise(text: str, voice: str) -> np.ndarray:
    """``text`` at 8 kHz, trimmed to its words and levelled, as floats at 16-bit scale."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "said.wav")
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        samples, rate = read_wav(path.read_bytes())
    samples = resample(samples, rate, RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[max(0, loud[0] - RATE // 50) : loud[-1] + RATE // 20]
    return samples * (14000 / np.abs(samples).max())


def main() -> None:
    """Write every clip."""
    CLIPS.mkdir(exist_ok=True)
    for name, text in SAYS.items():
        pcm = to_pcm16(synthesise(text, "rms"))
        with wave.open(str(CLIPS / f"{name}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(pcm)
        print(f"{name}: {len(pcm) / 2 / RATE:.2f} s, {len(pcm)} bytes")


if __name__ == "__main__":
    main()

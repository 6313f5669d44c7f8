"""Child process of the speech role: recognises one utterance after another, so that no event loop ever waits for it."""

from __future__ import annotations

from typing import Any

from sivo.speech.local_audio import from_pcm16, resample
from sivo.speech.local_frames import ChildChannel
from sivo.speech.local_recogniser import RATE, Recogniser


def main() -> None:
    """Answer ``{"pcm", "rate", "prompt"}`` with ``{"text", …, "done"}`` until the parent closes the pipe."""
    channel = ChildChannel()
    recogniser = Recogniser()
    while (request := channel.read()) is not None:
        channel.write(_answer(recogniser, request))


def _answer(recogniser: Recogniser, request: dict[str, Any]) -> dict[str, Any]:
    samples = resample(from_pcm16(request["pcm"]), request["rate"], RATE)
    heard = recogniser.hear(samples, request["prompt"])
    return {
        "done": True,
        "text": heard.text,
        "fit": heard.fit,
        "duration": len(samples) / RATE,
        "dropped": list(heard.dropped),
    }


if __name__ == "__main__":
    main()

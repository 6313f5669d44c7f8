"""Child process of the speech role: Whisper from a directory of this machine (CTranslate2 format), one utterance at a
time. Nothing is ever fetched: the directory is all there is.

The extra ``whisper`` brings ``faster-whisper``; it is imported here and nowhere else.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from sivo.speech.local_audio import from_pcm16, resample
from sivo.speech.local_frames import ChildChannel

_RATE = 16_000
#: What a model in CTranslate2 format consists of; without the tokenizer faster-whisper would ask a hub for one.
NEEDED = ("model.bin", "config.json", "tokenizer.json")


def main() -> None:
    """Answer ``{"model", "threads"}`` (load) and ``{"model", "threads", "pcm", "rate", "language", "prompt"}`` (hear)
    until the parent closes the pipe; ``{"why"}`` says why the model cannot be used."""
    channel = ChildChannel()
    loaded: Any = None
    while (request := channel.read()) is not None:
        try:
            loaded = loaded or load(Path(request["model"]), int(request["threads"]))
        except ValueError as error:
            channel.write({"done": True, "why": str(error)})
            continue
        channel.write(_hear(loaded, request) if "pcm" in request else {"done": True, "why": ""})


def load(model: Path, threads: int) -> Any:
    """The model in ``model`` on ``threads`` threads. ``ValueError`` says what is wrong, in words for the operator."""
    if not model.is_dir():
        raise ValueError(f"SIVO_SPEECH_WHISPER_MODEL is no directory: {model}")
    missing = [name for name in NEEDED if not (model / name).is_file()]
    if missing:
        raise ValueError(f"{model} is no Whisper model in CTranslate2 format: it lacks {', '.join(missing)}")
    try:
        library = importlib.import_module("faster_whisper")
    except ImportError as error:
        raise ValueError("the extra is missing; install it with: pip install 'sivo[whisper]'") from error
    try:
        return library.WhisperModel(
            str(model), device="cpu", compute_type="int8", cpu_threads=threads, num_workers=1, local_files_only=True
        )
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ValueError(f"{model} cannot be loaded: {detail}") from error
    except Exception as error:  # the tokenizers library raises bare Exception for a file that it cannot read
        raise ValueError(f"{model} cannot be loaded ({type(error).__name__})") from error


def _hear(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    samples = resample(from_pcm16(request["pcm"]), request["rate"], _RATE) / 32768
    language = request["language"] if model.model.is_multilingual else "en"
    segments, info = model.transcribe(
        samples,
        language=language or None,
        beam_size=1,
        temperature=0.0,
        condition_on_previous_text=False,
        without_timestamps=True,
        initial_prompt=request["prompt"] or None,
        max_new_tokens=128,
    )
    text = " ".join(segment.text.strip() for segment in segments).strip()
    return {"done": True, "why": "", "text": text, "language": info.language, "duration": len(samples) / _RATE}


if __name__ == "__main__":
    main()

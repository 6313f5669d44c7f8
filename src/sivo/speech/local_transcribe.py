"""``POST /v1/audio/transcriptions``: pocketsphinx behind the OpenAI wire protocol, and Whisper where the operator has
named a model directory (:mod:`sivo.speech.local_whisper`): then by a model name that begins with ``whisper``.

Pocketsphinx knows English only. The ``prompt`` field holds the agent's sample phrases, one a line; the grammar is made
from them. Speech that fits none of the wordings gives an empty text, as silence does.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from aiohttp import web

from sivo.base import logs
from sivo.speech.local_audio import read_wav, to_pcm16
from sivo.speech.local_child import Pool
from sivo.speech.local_protocol import WireError
from sivo.speech.local_whisper import Whisper

MODEL = "pocketsphinx-en-us"
MODULE = "sivo.speech.local_sphinx_process"
#: Longest utterance, in seconds, and the largest upload that can hold it.
MAX_SECONDS = 60
MAX_UPLOAD = MAX_SECONDS * 48000 * 2 * 2 + 64 * 1024
_WITHIN = 30.0
#: A machine that is busy with starting everything else at once.
_START = 90.0
_FIELDS = ("file", "model", "language", "prompt", "response_format", "temperature")

_log = logs.get("speech")


class Transcriptions:
    """The endpoint and its recognisers."""

    def __init__(self, workers: int = 2, queue: int = 16, whisper: Whisper | None = None) -> None:
        self.pool = Pool(MODULE, workers, queue)
        self.whisper = whisper or Whisper(None)

    async def warm(self) -> None:
        """Start the recognisers and let each load its model."""
        first = {"pcm": bytes(16000), "rate": 8000, "prompt": ""}
        await asyncio.gather(self.pool.start(first, within=_START), self.whisper.warm())

    async def stop(self) -> None:
        """End all child processes."""
        await asyncio.gather(self.pool.stop(), self.whisper.pool.stop())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Recognise one utterance."""
        fields = await _form(request)
        whisper = self.whisper.takes(fields["model"])
        if not whisper:
            _check_language(fields)
        shape = fields.get("response_format", "json")
        if shape not in ("json", "text", "verbose_json"):
            raise WireError(
                400, "response_format must be json, text or verbose_json", param="response_format", code="invalid_value"
            )
        samples, rate = _audio(fields["file"])
        if whisper:
            language = str(fields.get("language", "")).partition("-")[0].lower()
            heard = await self.whisper.hear(to_pcm16(samples), rate, language, fields.get("prompt", ""))
            return _rendered({"fit": math.nan, "dropped": [], **heard}, shape, str(heard["language"]))
        async with self.pool.lend() as child:
            heard = await child.one(
                {"pcm": to_pcm16(samples), "rate": rate, "prompt": fields.get("prompt", "")}, within=_WITHIN
            )
        if heard["dropped"]:
            _log.warning("phrases dropped: a word has no known pronunciation", count=len(heard["dropped"]))
        return _rendered(heard, shape)


async def _form(request: web.Request) -> dict[str, Any]:
    if not request.content_type.startswith("multipart/"):
        raise WireError(400, "the request must be multipart/form-data", code="invalid_content_type")
    form = await request.post()
    fields: dict[str, Any] = {}
    for name, value in form.items():
        if name not in _FIELDS:
            continue
        if isinstance(value, web.FileField):
            fields[name] = value.file.read()
        elif isinstance(value, str):
            fields[name] = value
    if not isinstance(fields.get("file"), bytes):
        raise WireError(400, "you must provide the parameter file", param="file", code="missing_required_parameter")
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        raise WireError(400, "you must provide the parameter model", param="model", code="missing_required_parameter")
    return fields


def _check_language(fields: dict[str, Any]) -> None:
    language = str(fields.get("language", "") or "en").lower()
    if language.partition("-")[0] not in ("en", "english"):
        raise WireError(
            400,
            f"the local recogniser knows English only, not {language[:20]!r}; use digits or another STT provider",
            param="language",
            code="unsupported_language",
        )


def _audio(data: bytes) -> tuple[Any, int]:
    try:
        samples, rate = read_wav(data)
    except ValueError as error:
        raise WireError(400, f"the audio cannot be read: {error}", param="file", code="invalid_audio") from error
    if len(samples) > MAX_SECONDS * rate:
        raise WireError(400, f"the audio is longer than {MAX_SECONDS} s", param="file", code="audio_too_long")
    return samples, rate


def _rendered(heard: dict[str, Any], shape: str, language: str = "english") -> web.Response:
    if shape == "text":
        return web.Response(text=heard["text"] + "\n")
    if shape == "json":
        return web.json_response({"text": heard["text"]})
    fit = heard["fit"] if math.isfinite(heard["fit"]) else None
    return web.json_response(
        {
            "task": "transcribe",
            "language": language,
            "duration": heard["duration"],
            "text": heard["text"],
            "fit": fit,
            "dropped_phrases": heard["dropped"],
        }
    )

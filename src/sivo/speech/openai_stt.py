"""``POST {base}/audio/transcriptions`` as OpenAI, Groq, faster-whisper servers and our speech role speak it."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Sequence
from typing import Any

import aiohttp

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient, Limits
from sivo.speech.faults import ProviderError, explain
from sivo.speech.http import check_status, headers_of, url_of
from sivo.speech.resample import resample

_RATE = 16_000
#: Whisper-class models lose the last word without some silence behind it.
_TRAILING_MS = 500
_LIMITS = Limits(total=8.0, connect=2.0, max_bytes=256 * 1024)


def wav_of(pcm16_8k: bytes) -> bytes:
    """16 kHz mono WAV of an 8 kHz segment, with 0.5 s of silence behind it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE)
        out.writeframes(resample(pcm16_8k, 8_000, _RATE) + bytes(2 * _RATE * _TRAILING_MS // 1000))
    return file.getvalue()


class OpenAiTranscriber:
    """Whole segments over HTTP. ``phrases`` go into ``prompt``, one a line: a hint for Whisper, a grammar for ours."""

    def __init__(self, client: GuardedClient, stage: Stage, phrases: Sequence[str] = (), limits: Limits = _LIMITS):
        self._client = client
        self._stage = stage
        self._prompt = "\n".join(phrases)
        self._limits = limits

    async def transcribe(self, pcm16_8k: bytes) -> str:
        """See :class:`sivo.speech.stt.Transcriber`."""
        begun = False
        try:
            async with self._client.stream(
                "POST",
                url_of(self._stage, "/audio/transcriptions"),
                headers=headers_of(self._stage),
                data=self._form(wav_of(pcm16_8k)),
                limits=self._limits,
                internal=self._stage.internal,
            ) as answer:
                begun = True
                body = await answer.read()
        except Exception as error:
            raise explain(error, streaming=begun) from error
        check_status(answer.status, body)
        return _text(body)

    def _form(self, wav: bytes) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("file", wav, filename="segment.wav", content_type="audio/wav")
        form.add_field("model", self._stage.model)
        form.add_field("language", self._stage.language[:2].lower())
        form.add_field("response_format", "json")
        form.add_field("temperature", "0")
        if self._prompt:
            form.add_field("prompt", self._prompt)
        return form


def _text(body: bytes) -> str:
    try:
        value: Any = json.loads(body)
        text = value["text"]
    except (ValueError, TypeError, KeyError) as error:
        raise ProviderError("garbage", "the answer is not a transcription object with a text") from error
    if not isinstance(text, str):
        raise ProviderError("garbage", "text in the transcription is not a string")
    return text.strip()

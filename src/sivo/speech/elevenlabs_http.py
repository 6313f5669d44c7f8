"""``POST /v1/text-to-speech/{voice}/stream``: one request an utterance, raw G.711 back.

Source: elevenlabs.io/docs/api-reference/text-to-speech/stream.
"""

from __future__ import annotations

import audioop
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient, Limits
from sivo.speech.alignment import Alignment
from sivo.speech.elevenlabs import FORMAT, http_fault, language_of
from sivo.speech.faults import ProviderError, explain

_LIMITS = Limits(total=60.0, connect=2.0, idle=4.0, max_bytes=16 * 1024 * 1024)
_ERROR_BYTES = 64 * 1024


class ElevenLabsHttp:
    """One voice, for models and workspaces that no socket serves."""

    def __init__(self, client: GuardedClient, stage: Stage, *, idle_s: float = 4.0) -> None:
        self._client = client
        self._stage = stage
        self._limits = replace(_LIMITS, idle=idle_s)

    async def speak(self, text: str) -> AsyncGenerator[bytes | Alignment, None]:
        """See :class:`sivo.speech.tts.Synthesizer`."""
        stage = self._stage
        begun = False
        body: dict[str, Any] = {"text": text, "model_id": stage.model}
        language = language_of(stage.model, stage.language)
        if language:
            body["language_code"] = language
        try:
            async with self._client.stream(
                "POST",
                f"{stage.base_url.rstrip('/')}/v1/text-to-speech/{quote(stage.voice, safe='')}/stream",
                headers={"xi-api-key": stage.api_key},
                params={"output_format": FORMAT},
                json=body,
                limits=self._limits,
                internal=stage.internal,
            ) as answer:
                if not answer.ok:
                    raise http_fault(answer.status, (await answer.read())[:_ERROR_BYTES], stage.model)
                kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                if kind in ("application/json", "text/html", "text/plain"):
                    raise ProviderError("garbage", f"the answer is {kind}, not audio")
                async for chunk in answer.chunks():
                    begun = True
                    yield audioop.ulaw2lin(chunk, 2)
        except Exception as error:
            raise explain(error, streaming=begun) from error

    async def close(self) -> None:
        """See :class:`sivo.speech.tts.Synthesizer`."""

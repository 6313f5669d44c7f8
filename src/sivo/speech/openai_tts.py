"""``POST {base}/audio/speech`` with ``response_format=pcm``: 24 kHz PCM16 in pieces, brought down to 8 kHz."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient, Limits
from sivo.speech.alignment import Alignment
from sivo.speech.faults import ProviderError, explain
from sivo.speech.http import check_status, headers_of, url_of
from sivo.speech.resample import Resampler

_RATE = 24_000
#: A sentence is seconds long; 4 s for the headers and between pieces are bounded by ``idle``.
_LIMITS = Limits(total=60.0, connect=2.0, idle=4.0, max_bytes=16 * 1024 * 1024)
_ERROR_BYTES = 64 * 1024


class OpenAiSynthesizer:
    """One voice behind an OpenAI-compatible endpoint."""

    def __init__(self, client: GuardedClient, stage: Stage, limits: Limits = _LIMITS, *, idle_s: float = 4.0) -> None:
        self._client = client
        self._stage = stage
        self._limits = replace(limits, idle=min(idle_s, limits.idle or idle_s))

    async def speak(self, text: str) -> AsyncGenerator[bytes | Alignment, None]:
        """See :class:`sivo.speech.tts.Synthesizer`."""
        begun = False
        resampler = Resampler(_RATE, 8_000)
        try:
            async with self._client.stream(
                "POST",
                url_of(self._stage, "/audio/speech"),
                headers=headers_of(self._stage),
                json={
                    "model": self._stage.model,
                    "input": text,
                    "voice": self._stage.voice,
                    "response_format": "pcm",
                },
                limits=self._limits,
                internal=self._stage.internal,
            ) as answer:
                if not answer.ok:
                    check_status(answer.status, (await answer.read())[:_ERROR_BYTES], model=self._stage.model)
                kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                if kind in ("application/json", "text/html", "text/plain"):
                    raise ProviderError("garbage", f"the answer is {kind}, not audio")
                async for chunk in answer.chunks():
                    begun = True
                    piece = resampler.feed(chunk)
                    if piece:
                        yield piece
                rest = resampler.flush()
                if rest:
                    yield rest
        except Exception as error:
            raise explain(error, streaming=begun) from error

    async def close(self) -> None:
        """See :class:`sivo.speech.tts.Synthesizer`."""

"""``POST /v1/audio/speech``: espeak-ng behind the OpenAI wire protocol.

``voice`` is an espeak-ng voice ("en-us", "es", "de"), with a variant after a plus sign if wanted ("en-gb+f3").
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from sivo.speech.local_audio import wav_header
from sivo.speech.local_child import Pool
from sivo.speech.local_protocol import WireError, json_object, text_field

MODEL = "espeak-ng"
MODULE = "sivo.speech.espeak_process"
RATE = 24000
_WITHIN = 10.0
#: A machine that is busy with starting everything else at once.
_START = 90.0
#: Languages of the platform, and how espeak-ng names the voice that is meant.
VOICES = {
    "en": "en-us",
    "en-us": "en-us",
    "en-gb": "en",
    "es": "es",
    "es-419": "es-419",
    "de": "de",
    "fr": "fr",
    "fr-fr": "fr",
    "fr-be": "fr-be",
    "fr-ch": "fr-ch",
    "it": "it",
    "pt": "pt",
    "pt-br": "pt-br",
}


class Speech:
    """The endpoint and its synthesisers."""

    def __init__(self, workers: int = 1, queue: int = 64) -> None:
        self.pool = Pool(MODULE, workers, queue)
        self._variants: frozenset[str] = frozenset()

    async def warm(self) -> None:
        """Start the synthesiser and learn its variants."""
        answers = await self.pool.start({"voices": True}, within=_START)
        self._variants = frozenset(answers[0]["variants"])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Synthesise one text; audio is sent as it is made."""
        body = await json_object(request)
        text_field(body, "model", longest=200)
        text = text_field(body, "input")
        voice = self._voice(text_field(body, "voice", longest=100))
        shape = body.get("response_format", "pcm")
        if shape not in ("pcm", "wav"):
            raise WireError(
                400, "response_format must be pcm or wav here", param="response_format", code="invalid_value"
            )
        job = {"text": _speakable(text), "voice": voice, "speed": _speed(body)}
        async with (
            self.pool.lend() as child,
            contextlib.aclosing(child.ask(job, within=_WITHIN)) as answers,  # type: ignore[type-var]
        ):
            return await _send(request, shape, answers)

    def _voice(self, name: str) -> str:
        language, plus, variant = name.partition("+")
        known = VOICES.get(language.lower().replace("_", "-"))
        if known is None or (plus and variant not in self._variants):
            raise WireError(
                400,
                f"there is no voice {name!r}; voices are {', '.join(VOICES)}, with an optional variant such as "
                f"{', '.join('+' + each for each in sorted(self._variants)[-6:])} or +f1 to +f5, +m1 to +m8",
                param="voice",
                code="voice_not_found",
            )
        return known + plus + variant


async def _send(request: web.Request, shape: str, answers: AsyncIterator[dict[str, Any]]) -> web.StreamResponse:
    # The first answer decides: a status that was sent cannot be taken back.
    first = await anext(answers)
    if first.get("done"):
        if not first["known"]:
            raise WireError(400, "the synthesiser refused the voice", param="voice", code="voice_not_found")
        first = {"pcm": b""}
    kind = "audio/wav" if shape == "wav" else "audio/pcm"
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    if shape == "wav":
        await response.write(wav_header(RATE))
    await response.write(first["pcm"])
    async for answer in answers:
        if "pcm" in answer:
            await response.write(answer["pcm"])
    await response.write_eof()
    return response


def _speakable(text: str) -> str:
    # No SSML and no espeak phoneme brackets from a model's text; control signs would end the C string.
    plain = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text)
    return plain.replace("[[", " ").replace("]]", " ")


def _speed(body: dict[str, Any]) -> float:
    speed = body.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4.0:
        raise WireError(400, "speed must be a number from 0.25 to 4", param="speed", code="invalid_value")
    return float(speed)

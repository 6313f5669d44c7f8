"""Asks one provider stage for the smallest possible thing and says in one line how that went."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from sivo.ai import providers
from sivo.ai.breaker import Breaker
from sivo.ai.llm import Usage
from sivo.media.protocol import ConversationSpec, Stage
from sivo.outbound.client import GuardedClient
from sivo.speech.alignment import Alignment
from sivo.speech.faults import ProviderError, explain
from sivo.speech.faults import Stage as StageName
from sivo.speech.stt import FRAME_MS, SttFailed, SttReady, SttResult, SttText, SttTrouble

#: What was wrong; ``ok``: nothing.
Kind = Literal[
    "ok",
    "dns",
    "tls",
    "connection",
    "slow",
    "key",
    "quota",
    "model",
    "voice",
    "language",
    "format",
    "refused",
    "address",
    "answer",
]
_WITHIN_S = 12.0
_SPEECH_MS = 1_000
_SILENCE = b"\xff" * 160
_MESSAGES = [{"role": "system", "content": "Answer with one word."}, {"role": "user", "content": "Say hello."}]
#: A word that every voice can say, by language.
_WORDS = {"en": "Hello.", "es": "Hola.", "de": "Hallo.", "fr": "Bonjour.", "it": "Ciao.", "pt": "Olá."}
#: Words of a fault -> what it is about; the first that fits.
_SIGNS: tuple[tuple[str, Kind], ...] = (
    (r"DNSError|gaierror", "dns"),
    (r"SSLError|CertificateError", "tls"),
    (r"quota|credit|HTTP 402|rate limit|concurrent", "quota"),
    (r"model", "model"),
    (r"voice", "voice"),
    (r"language", "language"),
    (r"format|encoding", "format"),
    (r"credential|api_key|HTTP 401|HTTP 403|permission", "key"),
)


@dataclass(slots=True)
class Verdict:
    """How a stage did. ``latency_ms``: what was measured, from the request on."""

    stage: StageName
    kind: Kind
    line: str
    latency_ms: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it did its part."""
        return self.kind == "ok"


async def probe(spec: ConversationSpec, stage: StageName, http: GuardedClient) -> Verdict:
    """Use ``stage`` of ``spec`` once, alone. Never raises for what a provider does."""
    wanted: Stage = {"stt": spec.stt, "llm": spec.llm, "tts": spec.tts}[stage]
    alone = msgspec.structs.replace(spec, second={}, tenant="")
    stages = providers.connect(alone, http, Breaker())
    asked = {"stt": _hear, "llm": _think, "tts": _speak}[stage]
    begun = time.monotonic()
    latency: dict[str, float] = {}
    try:
        async with asyncio.timeout(_WITHIN_S):
            found = await asked(stages, wanted, latency)
    except Exception as error:
        fault = explain(error)
        latency["failed"] = _since(begun)
        return _failed(stage, wanted, fault, latency)
    finally:
        await stages.tts.close()
    times = ", ".join(f"{name.replace('_', ' ')} after {ms:.0f} ms" for name, ms in latency.items())
    return Verdict(stage, "ok", f"{stage} ok: {found}; {times} ({_place(wanted)})", latency)


async def _think(stages: providers.Providers, wanted: Stage, latency: dict[str, float]) -> str:
    begun = time.monotonic()
    text = ""
    async for piece in stages.llm.stream(_MESSAGES, Usage()):
        latency.setdefault("first_token", _since(begun))
        text += piece
    if not text.strip():
        raise ProviderError("garbage", "the answer has no words")
    latency["whole_answer"] = _since(begun)
    return f"model {wanted.model} answers"


async def _speak(stages: providers.Providers, wanted: Stage, latency: dict[str, float]) -> str:
    begun = time.monotonic()
    audio = 0
    async for piece in stages.tts.speak(_WORDS.get(wanted.language[:2], "Hello.")):
        if not isinstance(piece, Alignment):
            latency.setdefault("first_audio", _since(begun))
            audio += len(piece)
    if audio < 800:
        raise ProviderError("garbage", "the answer holds no audio in the format that was asked for")
    return f"voice {wanted.voice} of model {wanted.model} speaks"


async def _hear(stages: providers.Providers, wanted: Stage, latency: dict[str, float]) -> str:
    begun = time.monotonic()
    results: asyncio.Queue[SttResult] = asyncio.Queue()
    session = stages.stt(results.put_nowait)
    try:
        session.begin(1, 0.0)
        for end_ms in range(FRAME_MS, _SPEECH_MS + FRAME_MS, FRAME_MS):
            session.audio(end_ms, _SILENCE, bytes(320))
            await asyncio.sleep(FRAME_MS / 1000)
        finished = time.monotonic()
        session.finish(1, float(_SPEECH_MS))
        while True:
            result = await results.get()
            if isinstance(result, SttReady):
                latency["connected"] = max(0.0, _since(begun))
            elif isinstance(result, SttFailed | SttTrouble):
                raise result.error
            elif isinstance(result, SttText) and result.final:
                latency["final_text"] = _since(finished)
                return f"model {wanted.model} hears {wanted.language}"
    finally:
        await session.close()


def _failed(stage: StageName, wanted: Stage, fault: ProviderError, latency: dict[str, float]) -> Verdict:
    kind = _kind(fault)
    detail = _PLAIN.get(kind, fault.detail)
    if kind == "key" and not wanted.api_key:
        detail = f"no key is stored that may be sent there; store one as {stage}_api_key"
    line = f"{stage} {kind}: {detail} ({_place(wanted)}, after {latency['failed']:.0f} ms)"
    return Verdict(stage, kind, line, latency)


_PLAIN: dict[Kind, str] = {
    "dns": "the host name cannot be resolved",
    "tls": "no TLS connection: the certificate or the protocol was not accepted",
}


def _kind(fault: ProviderError) -> Kind:
    if fault.cause == "guard":
        return "address"
    for sign, kind in _SIGNS:
        if re.search(sign, fault.detail):
            return kind
    if fault.cause == "slow":
        return "slow"
    if fault.cause in ("refused", "cut"):
        return "connection"
    return "answer" if fault.cause == "garbage" else "refused"


def _place(stage: Stage) -> str:
    return "this platform" if stage.internal else urlsplit(stage.base_url).netloc.rpartition("@")[2]


def _since(moment: float) -> float:
    return round((time.monotonic() - moment) * 1000, 1)

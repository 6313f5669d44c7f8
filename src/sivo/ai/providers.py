"""Which adapter speaks to which stage. One entry per wire protocol; the engine never knows which one it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from sivo.ai.llm import ChatModel
from sivo.ai.openai_llm import OpenAiChat
from sivo.ai.prompt import sample_phrases
from sivo.base.errors import SivoError, register
from sivo.media.protocol import ConversationSpec, Stage
from sivo.outbound.client import GuardedClient, Limits
from sivo.speech.openai_stt import OpenAiTranscriber
from sivo.speech.openai_tts import OpenAiSynthesizer
from sivo.speech.stt import OnText, SegmentStt, SttSession
from sivo.speech.tts import Synthesizer

PROTOCOL_UNKNOWN = register("PROVIDER_PROTOCOL_UNKNOWN", 422)
_WARM = Limits(total=4.0, connect=2.0, max_bytes=64 * 1024)


@dataclass(frozen=True, slots=True)
class Providers:
    """The three stages of a conversation."""

    stt: Callable[[OnText], SttSession]
    llm: ChatModel
    tts: Synthesizer
    #: Connections to the hosts, so that the first turn does not wait for DNS and TLS. Never raises.
    warm: Callable[[], Coroutine[Any, Any, None]]


def connect(spec: ConversationSpec, http: GuardedClient) -> Providers:
    """Adapters for the stages of ``spec``; nothing is opened yet.

    :class:`SivoError` ``PROVIDER_PROTOCOL_UNKNOWN`` for a protocol that this release does not speak.
    """
    for name, stage in (("stt", spec.stt), ("llm", spec.llm), ("tts", spec.tts)):
        if stage.protocol != "openai":
            raise SivoError(
                PROTOCOL_UNKNOWN,
                f"the wire protocol {stage.protocol!r} is not spoken",
                where=name,
                remedy="choose an OpenAI-compatible provider or local",
            )
    transcriber = OpenAiTranscriber(http, spec.stt, sample_phrases(spec))
    return Providers(
        stt=lambda on_text: SegmentStt(transcriber, on_text),
        llm=OpenAiChat(http, spec.llm),
        tts=OpenAiSynthesizer(http, spec.tts),
        warm=lambda: _warm(http, (spec.stt, spec.llm)),
    )


async def _warm(http: GuardedClient, stages: tuple[Stage, ...]) -> None:
    await asyncio.gather(*(_warm_one(http, stage) for stage in stages))


async def _warm_one(http: GuardedClient, stage: Stage) -> None:
    try:
        await http.warm(stage.base_url, internal=stage.internal, limits=_WARM)
    except SivoError:
        return  # the stage itself will fail with its own fault when it is needed

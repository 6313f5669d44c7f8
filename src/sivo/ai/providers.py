"""Which adapter speaks to which stage. One entry per wire protocol; the engine never knows which one it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sivo.ai.breaker import Breaker
from sivo.ai.failover import Board, Choice, FailoverChat, FailoverEar, FailoverVoice, Open
from sivo.ai.llm import ChatModel, Usage
from sivo.ai.openai_llm import OpenAiChat
from sivo.ai.prompt import sample_phrases
from sivo.base.errors import SivoError
from sivo.media.protocol import ConversationSpec, Stage
from sivo.outbound.client import GuardedClient, Limits
from sivo.speech import elevenlabs
from sivo.speech.alignment import Alignment
from sivo.speech.elevenlabs_tts import ElevenLabsSynthesizer
from sivo.speech.engines import open_stt
from sivo.speech.faults import ProviderError
from sivo.speech.openai_tts import OpenAiSynthesizer
from sivo.speech.stt import OnText, SttSession
from sivo.speech.tts import Synthesizer

_WARM = Limits(total=4.0, connect=2.0, max_bytes=64 * 1024)


_T = TypeVar("_T")
#: How long a provider may take for its first word or sound while there is a second one to ask.
_IMPATIENT_S = 2.0
_PATIENT_S = 4.0
#: Circuits outlive calls.
_breaker = Breaker()


@dataclass(frozen=True, slots=True)
class Providers:
    """The three stages of a conversation."""

    stt: Callable[[OnText], SttSession]
    llm: ChatModel
    tts: FailoverVoice
    #: Tells about failovers and what was used; the conversation puts its own ears in.
    board: Board
    #: Connections to the hosts, so that the first turn does not wait for DNS and TLS. Never raises.
    warm: Callable[[], Coroutine[Any, Any, None]]


def connect(spec: ConversationSpec, http: GuardedClient, breaker: Breaker | None = None) -> Providers:
    """Adapters for the stages of ``spec``; nothing is opened yet.

    A stage whose protocol this release does not speak fails with ``rejected`` when it is used: the caller hears an
    apology instead of nothing, and the trace names the stage.
    """
    phrases = sample_phrases(spec)
    board = Board()
    # Without a tenant (a test of providers, say) nobody else's failures count.
    circuits = breaker or (_breaker if spec.tenant else Breaker())

    def choices(name: str, first: Stage, make: Callable[[Stage, float], _T]) -> list[Choice[_T]]:
        stages = [first, *([spec.second[name]] if name in spec.second else [])]
        last = len(stages) - 1
        return [
            Choice(stage, make(stage, _PATIENT_S if place == last else _IMPATIENT_S), Breaker.key(spec.tenant, stage))
            for place, stage in enumerate(stages)
        ]

    def hear(stage: Stage, _: float) -> Open:
        return lambda on_text: open_stt(http, stage, on_text, phrases=phrases)

    ears = choices("stt", spec.stt, hear)
    models = choices("llm", spec.llm, lambda stage, within: _model(stage, http, within))
    voices = choices("tts", spec.tts, lambda stage, within: _synthesizer(stage, http, within))
    spoken = [stage for stage in (spec.stt, spec.llm) if stage.protocol == "openai"]
    return Providers(
        stt=lambda on_text: FailoverEar(ears, circuits, board, on_text),
        llm=FailoverChat(models, circuits, board),
        tts=FailoverVoice(voices, circuits, board),
        board=board,
        warm=lambda: _warm(http, spoken),
    )


def _model(stage: Stage, http: GuardedClient, within: float) -> ChatModel:
    return OpenAiChat(http, stage, first_token_s=within) if stage.protocol == "openai" else Unspoken(stage)


def _synthesizer(stage: Stage, http: GuardedClient, within: float) -> Synthesizer:
    match stage.protocol:
        case "openai":
            return OpenAiSynthesizer(http, stage, idle_s=within)
        case elevenlabs.PROTOCOL:
            return ElevenLabsSynthesizer(http, stage, first_byte_s=within)
        case _:
            return Unspoken(stage)


class Unspoken:
    """A stage that nobody here can talk to: every use of it fails."""

    def __init__(self, stage: Stage) -> None:
        self._detail = f"the wire protocol {stage.protocol!r} is not spoken; choose an OpenAI-compatible one or local"

    async def stream(self, messages: list[dict[str, str]], usage: Usage) -> AsyncGenerator[str, None]:
        """See :class:`sivo.ai.llm.ChatModel`."""
        raise ProviderError("rejected", self._detail)
        yield ""

    async def speak(self, text: str) -> AsyncGenerator[bytes | Alignment, None]:
        """See :class:`sivo.speech.tts.Synthesizer`."""
        raise ProviderError("rejected", self._detail)
        yield b""

    async def close(self) -> None:
        """See :class:`sivo.speech.tts.Synthesizer`."""


async def _warm(http: GuardedClient, stages: Sequence[Stage]) -> None:
    await asyncio.gather(*(_warm_one(http, stage) for stage in stages))


async def _warm_one(http: GuardedClient, stage: Stage) -> None:
    try:
        await http.warm(stage.base_url, internal=stage.internal, limits=_WARM)
    except SivoError:
        return  # the stage itself will fail with its own fault when it is needed

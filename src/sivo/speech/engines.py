"""Which speech-to-text engine speaks a wire protocol; used by conversations and by live transcription alike."""

from __future__ import annotations

from collections.abc import Sequence

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.speech.deepgram_stt import open_deepgram
from sivo.speech.faults import ProviderError
from sivo.speech.openai_stt import OpenAiTranscriber
from sivo.speech.scribe_stt import open_scribe
from sivo.speech.stt import OnText, SegmentStt, SttSession


class Unspoken:
    """A protocol that nobody here can talk to: every segment fails, and the trace names it."""

    def __init__(self, protocol: str) -> None:
        self._detail = f"the wire protocol {protocol!r} is not spoken; choose an OpenAI-compatible one or local"

    async def transcribe(self, pcm16_8k: bytes) -> str:
        """See :class:`sivo.speech.stt.Transcriber`."""
        raise ProviderError("rejected", self._detail)


def open_stt(
    http: GuardedClient,
    stage: Stage,
    on_text: OnText,
    *,
    phrases: Sequence[str] = (),
    tag: str = "",
    patient: bool = False,
) -> SttSession:
    """A session of the engine of ``stage``. ``phrases``: what is likely to be said. ``tag``: a label where the vendor
    takes one. ``patient``: nobody waits for the text (live transcription), a broken line may take its time."""
    match stage.protocol:
        case "openai":
            return SegmentStt(OpenAiTranscriber(http, stage, phrases), on_text)
        case "deepgram":
            return open_deepgram(http, stage, on_text, tag=tag, patient=patient)
        case "elevenlabs" | "elevenlabs_scribe_v2_realtime":
            return open_scribe(http, stage, on_text, patient=patient)
        case _:
            return SegmentStt(Unspoken(stage.protocol), on_text)

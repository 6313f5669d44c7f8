"""How people on a call are transcribed: engine, place, key and language, resolved for ``media``."""

from __future__ import annotations

from collections.abc import Mapping

from sivo.base.settings import Settings
from sivo.calls.answering_agent import OPENAI, VENDOR_URLS, WHISPER, key_for
from sivo.config.snapshot import Reader
from sivo.media.protocol import Stage, TranscriptionSpec
from sivo.routing.directory import ProviderKey
from sivo.transcription.policy import TranscriptionDecision

DEEPGRAM, SCRIBE = "deepgram", "elevenlabs_scribe_v2_realtime"
#: What an engine is asked for where ``ai.stt_model`` is another vendor's.
MODELS = {DEEPGRAM: "nova-2", SCRIBE: "scribe_v2_realtime", WHISPER: "whisper-1"}
#: Values of ``ai.stt_provider`` that speak the engine's protocol, so that its key, place and model serve here as well.
_SAME = {DEEPGRAM: {DEEPGRAM}, SCRIBE: {"elevenlabs", SCRIBE}, WHISPER: {WHISPER, "openai", "groq"}}


def describe(
    decision: TranscriptionDecision, config: Reader, keys: Mapping[str, ProviderKey], settings: Settings
) -> TranscriptionSpec:
    """The stream, or streams, that ``decision`` asks for.

    The key is the secret ``transcription_api_key``; without one, that of the AI agents' speech-to-text when both
    speak the same protocol.
    """
    engine, language = decision.engine, decision.language
    same = config.read("ai.stt_provider") in _SAME[engine]
    model = str(config.read("ai.stt_model")) if same else MODELS[engine]
    stage = "transcription" if "transcription" in keys or not same else "stt"
    own = keys[stage].base_url if stage in keys else ""
    if engine == WHISPER and not own:
        url = settings.speech_base_url()
        spoken = Stage(protocol=OPENAI, base_url=url, model=model, language=language, internal=True)
    else:
        url = own or VENDOR_URLS[engine]
        protocol = OPENAI if engine == WHISPER else engine
        key = key_for(keys, stage, url)
        spoken = Stage(protocol=protocol, base_url=url, model=model, api_key=key, language=language)
    return TranscriptionSpec(engine=engine, stage=spoken, separation=decision.speaker_separation)

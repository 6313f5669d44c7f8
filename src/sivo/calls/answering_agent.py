"""The whole conversation in one description: agent, pinned configuration and provider keys, resolved for ``media``.

Nothing in the result refers to a tenant's configuration any more, so that ``media`` needs neither database nor tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sivo.base.settings import Settings
from sivo.calls.phrases import Phrases, of_language
from sivo.config.key import Level
from sivo.config.snapshot import Reader
from sivo.config.voices import default_voice
from sivo.media.protocol import ConversationSpec, Intent, Stage
from sivo.routing.directory import Agent, ProviderKey
from sivo.transcription.policy import TranscriptionDecision

LOCAL = "local"
OPENAI = "openai"
#: Model name that the local speech role is asked for when a tenant's own model name belongs to a vendor.
LOCAL_MODEL = "local"
#: Where the protocols of the vendors live; a protocol that is not spoken here is refused by ``media`` as a fault.
VENDOR_URLS = {
    "openai": "https://api.openai.com/v1",
    "groq": "https://api.groq.com/openai/v1",
    "deepgram": "https://api.deepgram.com",
    "elevenlabs": "https://api.elevenlabs.io",
    "elevenlabs_scribe_v2_realtime": "https://api.elevenlabs.io",
}
_OPENAI_SPEAKERS = {"openai", "groq", "whisper"}
#: Speaks our protocol but is nobody's service: without a place of the tenant's own it is our speech role.
WHISPER = "whisper"
#: Silence after the words of a goodbye before the line is closed.
GOODBYE_SILENCE_MS = 300


def describe(
    agent: Agent,
    config: Reader,
    keys: Mapping[str, ProviderKey],
    settings: Settings,
    *,
    heard_in: TranscriptionDecision | None = None,
) -> ConversationSpec:
    """The conversation of ``agent`` under the pinned configuration; ``keys`` by stage (``stt``, ``llm``, ``tts``).

    ``heard_in``: the decision on transcription, whose language is what speech-to-text is asked for (decision 5).
    """
    body = agent.body
    language = config.language()
    phrases = of_language(language)
    return ConversationSpec(
        agent_id=str(agent.id),
        agent_name=agent.name,
        prompt=str(body.get("prompt") or ""),
        greeting=str(body.get("greeting") or ""),
        language=language,
        stt=_speech_stage(config, "stt", _heard_language(config, heard_in), keys, settings),
        llm=_llm_stage(config, language, keys, settings),
        tts=_speech_stage(config, "tts", language, keys, settings),
        intents=[_intent(intent) for intent in body.get("intents") or ()],
        transfer_to=str(body.get("transfer_to") or ""),
        greeting_interruptible=bool(body.get("greeting_interruptible", True)),
        filler=_words(body, "filler", phrases),
        apology=_words(body, "apology", phrases),
        closing=_words(body, "closing", phrases),
        reprompt=_words(body, "reprompt", phrases),
        max_turns=int(config.read("ai.max_turns")),
        max_duration_sec=int(config.read("ai.max_duration_sec")),
        barge_in_cooldown_ms=int(config.read("ai.barge_in_cooldown_ms")),
        speech_min_ms=int(config.read("ai.speech_min_ms")),
        silence_timeout_ms=int(body.get("silence_timeout_ms") or 10_000),
        max_reprompts=int(body["max_reprompts"]) if body.get("max_reprompts") is not None else 2,
        tenant=str(agent.tenant_id),
        second={
            stage: _second_stage(
                stage, one, _heard_language(config, heard_in) if stage == "stt" else language, keys, settings
            )
            for stage, one in (body.get("second") or {}).items()
        },
    )


def goodbye(spec: ConversationSpec) -> ConversationSpec:
    """The same agent with nothing to say but its apology; the silence after it brings its closing words and the end."""
    return ConversationSpec(
        agent_id=spec.agent_id,
        agent_name=spec.agent_name,
        prompt="",
        greeting=spec.apology,
        language=spec.language,
        stt=spec.stt,
        llm=spec.llm,
        tts=spec.tts,
        greeting_interruptible=False,
        filler=spec.filler,
        apology=spec.apology,
        closing=spec.closing,
        reprompt=spec.reprompt,
        max_turns=1,
        max_duration_sec=spec.max_duration_sec,
        tenant=spec.tenant,
        second=spec.second,
        silence_timeout_ms=GOODBYE_SILENCE_MS,
        max_reprompts=0,
    )


def _speech_stage(
    config: Reader, stage: str, language: str, keys: Mapping[str, ProviderKey], settings: Settings
) -> Stage:
    provider = str(config.read(f"ai.{stage}_provider"))
    voice = str(config.read("ai.tts_voice_id")) if stage == "tts" else ""
    model = str(config.read(f"ai.{stage}_model"))
    return _speech(
        provider, stage, Stage(protocol="", base_url="", model=model, language=language, voice=voice), keys, settings
    )


def _second_stage(
    stage: str, body: Mapping[str, Any], language: str, keys: Mapping[str, ProviderKey], settings: Settings
) -> Stage:
    """Who takes over; its key is kept apart from the first one's."""
    own = {stage: keys[f"{stage}_second"]} if f"{stage}_second" in keys else {}
    provider, model = str(body.get("provider") or ""), str(body["model"])
    if stage == "llm":
        return _chat(str(body["base_url"]), model, language, own, settings)
    voice = str(body.get("voice") or default_voice(provider, language)) if stage == "tts" else ""
    return _speech(
        provider, stage, Stage(protocol="", base_url="", model=model, language=language, voice=voice), own, settings
    )


def _speech(provider: str, stage: str, wanted: Stage, keys: Mapping[str, ProviderKey], settings: Settings) -> Stage:
    """``wanted`` with the protocol, place and credential of its provider."""
    model, language, voice = wanted.model, wanted.language, wanted.voice
    if provider == LOCAL:
        url = settings.speech_base_url()
        return Stage(protocol=OPENAI, base_url=url, model=model, language=language, voice=voice, internal=True)
    protocol = OPENAI if provider in _OPENAI_SPEAKERS else provider
    own = keys[stage].base_url if stage in keys else ""
    if (provider, stage, own) == (WHISPER, "stt", ""):
        url = settings.speech_base_url()
        return Stage(protocol=OPENAI, base_url=url, model=model, language=language, voice=voice, internal=True)
    url = own or VENDOR_URLS.get(provider, "")
    key = key_for(keys, stage, url)
    return Stage(protocol=protocol, base_url=url, model=model, api_key=key, language=language, voice=voice)


def _heard_language(config: Reader, decided: TranscriptionDecision | None) -> str:
    """Language parameter of speech-to-text: what policy, DID or key say; while nobody said anything, the spoken one."""
    by_key = str(config.read("transcription.language"))
    if decided is not None and not decided.sources["language"].startswith("key "):
        return decided.language
    return config.language() if config.snapshot.level("transcription.language") == Level.DEFAULT else by_key


def _llm_stage(config: Reader, language: str, keys: Mapping[str, ProviderKey], settings: Settings) -> Stage:
    url, model = str(config.read("ai.llm_base_url")), str(config.read("ai.llm_model"))
    return _chat(url, model, language, keys, settings)


def _chat(url: str, model: str, language: str, keys: Mapping[str, ProviderKey], settings: Settings) -> Stage:
    if url == LOCAL:
        return Stage(
            protocol=OPENAI, base_url=settings.speech_base_url(), model=model, language=language, internal=True
        )
    return Stage(protocol=OPENAI, base_url=url, model=model, api_key=key_for(keys, "llm", url), language=language)


def key_for(keys: Mapping[str, ProviderKey], stage: str, url: str) -> str:
    """The key for a stage, only for the host that it was entered for."""
    key = keys.get(stage)
    if key is None:
        return ""
    host = urlsplit(url).hostname or ""
    return key.value if key.host in (None, "", host, url) else ""


def _intent(body: Mapping[str, Any]) -> Intent:
    return Intent(
        name=str(body["name"]),
        phrases=[str(phrase) for phrase in body.get("phrases") or ()],
        reply=str(body.get("reply") or ""),
        action=str(body.get("action") or "continue"),
        after=[str(name) for name in body.get("after") or ()],
        variables={str(name): str(value) for name, value in (body.get("variables") or {}).items()},
    )


def _words(body: Mapping[str, Any], field: str, phrases: Phrases) -> str:
    return str(body.get(field) or getattr(phrases, field))

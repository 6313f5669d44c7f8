"""From pinned configuration to what media is told: places, credentials and languages of the three stages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sivo.base.settings import Settings
from sivo.calls import answering_agent
from sivo.config.key import Inputs, Level
from sivo.config.policies import Parties, Policy
from sivo.config.resolve import Stored
from sivo.config.state import TenantRow
from sivo.media.protocol import ConversationSpec
from sivo.routing.directory import Agent, Did, ProviderKey
from sivo.routing.pinning import Pinner
from sivo.transcription import policy

SETTINGS = Settings(home=Path("var"), speech_port=8090)
LOCAL = "http://127.0.0.1:8090/v1"
OWN = ProviderKey("a-key", "asr.example.com", "https://asr.example.com/v1")


def described(
    keys: dict[str, Any] | None = None,
    *,
    secrets: dict[str, ProviderKey] | None = None,
    did_language: str = "",
    policy_language: str = "",
    **agent_body: Any,
) -> ConversationSpec:
    """What a call through a DID with these languages, to an agent with this body, is described as."""
    tenant = uuid4()
    stored = [Stored(key, Level.TENANT, value) for key, value in (keys or {}).items()]
    row = TenantRow(tenant, "acme", "Acme", "pro", "active", 1, datetime(2026, 1, 1, tzinfo=UTC))
    agent = Agent(uuid4(), tenant, "Ada", {"name": "Ada", **agent_body})
    did = Did(uuid4(), tenant, "+34910000001", None, "ai_agent", agent.id, did_language)
    config = Pinner(row, stored, Inputs(slug="acme", plan="pro")).snapshot(did, agent).reader()
    fields = {"language": policy_language} if policy_language else {}
    policies = [Policy("1", "all", "tenant", "", True, fields)]
    decided = policy.decide(policies, Parties(did=str(did.id), people=()), config.read, did_language=did_language)
    return answering_agent.describe(agent, config, secrets or {}, SETTINGS, heard_in=decided)


@pytest.mark.parametrize(
    ("provider", "secret", "url", "key", "internal"),
    [
        ("openai", None, "https://api.openai.com/v1", "", False),
        ("openai", ProviderKey("a-key"), "https://api.openai.com/v1", "a-key", False),
        ("openai", OWN, "https://asr.example.com/v1", "a-key", False),
        ("whisper", OWN, "https://asr.example.com/v1", "a-key", False),
        ("whisper", None, LOCAL, "", True),
        ("whisper", ProviderKey("a-key", "api.groq.com"), LOCAL, "", True),
        ("local", OWN, LOCAL, "", True),
        # Entered for another host: it goes to nobody.
        ("groq", ProviderKey("a-key", "api.openai.com"), "https://api.groq.com/openai/v1", "", False),
    ],
)
def test_place_and_credential_of_speech_to_text(
    provider: str, secret: ProviderKey | None, url: str, key: str, internal: bool
) -> None:
    stage = described({"ai.stt_provider": provider}, secrets={"stt": secret} if secret else {}).stt
    assert (stage.protocol, stage.base_url, stage.api_key, stage.internal) == ("openai", url, key, internal)


def test_a_vendors_own_protocol_has_its_vendors_place_unless_the_secret_names_another() -> None:
    stage = described({"ai.stt_provider": "deepgram"}, secrets={"stt": ProviderKey("a-key")}).stt
    assert (stage.protocol, stage.base_url, stage.api_key) == ("deepgram", "https://api.deepgram.com", "a-key")
    stage = described({"ai.stt_provider": "deepgram"}, secrets={"stt": OWN}).stt
    assert (stage.protocol, stage.base_url, stage.api_key) == ("deepgram", "https://asr.example.com/v1", "a-key")


def test_place_and_voice_of_speech_synthesis() -> None:
    stage = described({"ai.tts_provider": "openai"}, secrets={"tts": OWN}, language="en").tts
    assert (stage.base_url, stage.api_key, stage.voice) == ("https://asr.example.com/v1", "a-key", "alloy")
    assert described({"ai.tts_voice_id": "carmen"}, voice="jorge").tts.voice == "jorge"


@pytest.mark.parametrize(
    ("keys", "did", "agent", "by_policy", "heard", "spoken"),
    [
        ({}, "", None, "", "es", "es"),
        ({"transcription.language": "it"}, "", None, "", "it", "es"),
        ({"transcription.language": "it"}, "", "fr", "", "it", "fr"),
        ({"transcription.language": "it"}, "pt", "fr", "", "pt", "fr"),
        ({"transcription.language": "it"}, "pt", None, "", "pt", "pt"),
        ({"transcription.language": "it"}, "pt", "fr", "de", "de", "fr"),
        # Somebody did say es: it is obeyed, although it is what the shipped default says.
        ({"transcription.language": "es"}, "", "fr", "", "es", "fr"),
        ({}, "", "fr", "es", "es", "fr"),
        # Nobody has said anything: the spoken language stands in for the shipped default.
        ({}, "", "fr", "", "fr", "fr"),
        ({"tenant.default_locale": "de"}, "", None, "", "de", "de"),
    ],
)
def test_language_that_is_heard_and_language_that_is_spoken(
    keys: dict[str, Any], did: str, agent: str | None, by_policy: str, heard: str, spoken: str
) -> None:
    spec = described(keys, did_language=did, policy_language=by_policy, language=agent)
    assert (spec.stt.language, spec.language, spec.tts.language, spec.llm.language) == (heard, spoken, spoken, spoken)


def test_second_providers_have_places_and_keys_of_their_own() -> None:
    second = {
        "stt": {"provider": "deepgram", "model": "nova-3"},
        "llm": {"base_url": "https://llm.example.com/v1", "model": "big"},
        "tts": {"provider": "elevenlabs", "model": "eleven_v3"},
    }
    first = {"stt": ProviderKey("first"), "llm": ProviderKey("first"), "tts": ProviderKey("first")}
    own = {
        "stt_second": ProviderKey("own-stt"),
        "llm_second": ProviderKey("own-llm", "other.example.com"),
        "tts_second": ProviderKey("own-tts", "voices.example.com", "https://voices.example.com"),
    }
    spec = described({"ai.tts_provider": "openai"}, secrets=first | own, second=second)
    ear, model, voice = (spec.second[stage] for stage in ("stt", "llm", "tts"))
    assert (ear.protocol, ear.base_url, ear.model, ear.api_key) == (
        "deepgram",
        "https://api.deepgram.com",
        "nova-3",
        "own-stt",
    )
    assert (model.protocol, model.base_url, model.model) == ("openai", "https://llm.example.com/v1", "big")
    assert model.api_key == "", "entered for another host"
    assert (voice.protocol, voice.base_url, voice.api_key) == ("elevenlabs", "https://voices.example.com", "own-tts")
    assert voice.voice, "the platform's voice for the language"
    assert spec.tenant and described({}).second == {}

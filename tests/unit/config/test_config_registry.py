"""The register against the published reference: which keys exist, their bounds, defaults and moments."""

from __future__ import annotations

from typing import Any

import pytest

from sivo.base.errors import SivoError
from sivo.config import registry
from sivo.config.key import Inputs
from sivo.config.resolve import resolve
from sivo.config.types import REDACTED

#: key -> (shipped default, when it takes effect), in the order of the reference.
REFERENCE: dict[str, tuple[Any, str]] = {
    "tenant.slug": ("acme", "now"),
    "tenant.sip_domain": ("acme.sip.sivocenter.com", "now"),
    "tenant.dashboard_url": ("acme.app.sivocenter.com", "now"),
    "tenant.default_locale": ("es", "now / calls"),
    "tenant.timezone": ("Europe/Madrid", "now"),
    "auth.jwt_ttl_sec": (86400, "next token"),
    "auth.refresh_ttl_sec": (2592000, "next login"),
    "auth.password_min_length": (8, "now"),
    "auth.login_max_attempts": (5, "now"),
    "auth.mfa_required_roles": (["admin", "superadmin"], "now"),
    "recording.default_format": ("wav", "calls"),
    "recording.default_retention_days": (180, "sealed"),
    "recording.default_provider_id": ("00000000-0000-7000-8000-000000000001", "calls"),
    "recording.kms_enabled": (True, "calls"),
    "transcription.engine": ("deepgram", "calls"),
    "transcription.language": ("es", "calls"),
    "transcription.speaker_separation": (True, "calls"),
    "transcription.policy_retention_days": (90, "sealed"),
    "transcription.push_to_sf": (False, "calls; off: now"),
    "ai.stt_provider": ("deepgram", "calls"),
    "ai.stt_model": ("nova-2", "calls"),
    "ai.llm_base_url": ("https://api.groq.com/openai/v1", "calls"),
    "ai.llm_model": ("llama-3.1-70b-versatile", "calls"),
    "ai.tts_provider": ("elevenlabs", "calls"),
    "ai.tts_model": ("eleven_multilingual_v2", "calls"),
    "ai.tts_voice_id": ("XrExE9yKIg1WjnnlVkGX", "calls"),
    "ai.max_turns": (20, "calls"),
    "ai.max_duration_sec": (600, "calls"),
    "ai.barge_in_cooldown_ms": (300, "calls"),
    "ai.speech_min_ms": (400, "calls"),
    "sf.connected_orgs": ([], "now"),
    "sf.jwt_keypair_id": ("global", "now"),
    "sf.scrt_base_url": (None, "now"),
    "sf.user_mappings": ([], "now"),
    "sf.push_transcripts": (False, "calls; off: now"),
    "sf.message_provider_name": ("calltree", "now"),
    "webhooks.signing_secret": (None, "now"),
    "webhooks.retry_max_attempts": (6, "next event"),
    "webhooks.timeout_ms": (10000, "now"),
    "webhooks.dlq_retention_days": (30, "now"),
}

BOUNDS = {
    "auth.jwt_ttl_sec": (300, 604800),
    "auth.refresh_ttl_sec": (3600, 31536000),
    "auth.password_min_length": (8, 64),
    "auth.login_max_attempts": (3, 20),
    "recording.default_retention_days": (1, 3650),
    "transcription.policy_retention_days": (1, 3650),
    "ai.max_turns": (1, 200),
    "ai.max_duration_sec": (10, 7200),
    "ai.barge_in_cooldown_ms": (0, 2000),
    "ai.speech_min_ms": (80, 2000),
    "webhooks.retry_max_attempts": (0, 12),
    "webhooks.timeout_ms": (500, 30000),
    "webhooks.dlq_retention_days": (1, 365),
}

ACCEPTED = [
    ("tenant.slug", "a1b", "a1b"),
    ("tenant.sip_domain", "PBX.Example.COM.", "pbx.example.com"),
    ("tenant.default_locale", "pt", "pt"),
    ("tenant.timezone", "America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
    ("auth.mfa_required_roles", ["superadmin", "agent", "agent"], ["agent", "superadmin"]),
    ("recording.default_format", "ogg", "ogg"),
    ("recording.kms_enabled", False, False),
    ("transcription.engine", "elevenlabs_scribe_v2_realtime", "elevenlabs_scribe_v2_realtime"),
    ("ai.llm_base_url", "http://127.0.0.1:8090/v1/", "http://127.0.0.1:8090/v1"),
    ("ai.llm_base_url", "local", "local"),
    ("sf.jwt_keypair_id", "0198C5A0-0000-7000-8000-000000000000", "0198c5a0-0000-7000-8000-000000000000"),
    ("sf.message_provider_name", "my provider", "my provider"),
]

REFUSED = [
    ("tenant.slug", "ab"),
    ("tenant.slug", "1abc"),
    ("tenant.slug", "abc-"),
    ("tenant.slug", "a" * 33),
    ("tenant.slug", "Abc"),
    ("tenant.sip_domain", "a_b.example.com"),
    ("tenant.sip_domain", "192.0.2.1"),
    ("tenant.sip_domain", "host:5060"),
    ("tenant.default_locale", "ru"),
    ("tenant.timezone", "Madrid"),
    ("tenant.timezone", 1),
    ("auth.mfa_required_roles", ["root"]),
    ("auth.mfa_required_roles", "admin"),
    ("recording.default_format", "flac"),
    ("recording.default_provider_id", "managed"),
    ("recording.kms_enabled", 1),
    ("recording.kms_enabled", "true"),
    ("transcription.language", "xx"),
    ("transcription.language", "es-ES"),
    ("ai.llm_base_url", "ftp://example.com"),
    ("ai.llm_base_url", "https://user:secret@example.com/v1"),
    ("ai.llm_base_url", "https://example.com:99999/v1"),
    ("ai.llm_base_url", "https://example.com/v1#part"),
    ("ai.llm_base_url", "https:///v1"),
    ("ai.stt_provider", "Deepgram!"),
    ("ai.llm_model", ""),
    ("sf.connected_orgs", []),
    ("sf.message_provider_name", "naïve"),
    ("sf.message_provider_name", "x" * 81),
    ("webhooks.signing_secret", "short"),
]


def test_the_register_holds_exactly_the_forty_keys_in_order() -> None:
    assert list(registry.KEYS) == list(REFERENCE)
    assert len(registry.KEYS) == 40


def test_shipped_defaults_are_those_of_the_reference() -> None:
    effective = resolve(Inputs(slug="acme", plan="pro"), [])
    assert {name: one.value for name, one in effective.items()} == {name: row[0] for name, row in REFERENCE.items()}


def test_retention_follows_the_plan() -> None:
    found = {
        plan: resolve(Inputs(slug="acme", plan=plan), [])["recording.default_retention_days"].value
        for plan in ("starter", "pro", "enterprise")
    }
    assert found == {"starter": 30, "pro": 180, "enterprise": 365}


def test_moments_are_those_of_the_reference() -> None:
    assert {name: str(key.when) for name, key in registry.KEYS.items()} == {
        name: row[1] for name, row in REFERENCE.items()
    }


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items())
def test_bounds_include_their_ends_and_nothing_beyond(name: str, bounds: tuple[int, int]) -> None:
    low, high = bounds
    assert registry.check(name, low) == low
    assert registry.check(name, high) == high
    for wrong in (low - 1, high + 1, float(low), str(low), True, None, [low]):
        with pytest.raises(SivoError) as caught:
            registry.check(name, wrong)
        assert caught.value.code == "CONFIG_VALUE_INVALID"
        assert name in caught.value.message
        assert f"from {low} to {high}" in caught.value.message


def test_every_integer_key_has_its_bounds_tested() -> None:
    integers = {name for name, key in registry.KEYS.items() if key.type.schema().get("type") == "integer"}
    assert integers == set(BOUNDS)


@pytest.mark.parametrize(("name", "value", "stored"), ACCEPTED)
def test_accepted_values_are_brought_to_normal_form(name: str, value: Any, stored: Any) -> None:
    assert registry.check(name, value) == stored


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_refused_values_name_the_key(name: str, value: Any) -> None:
    with pytest.raises(SivoError) as caught:
        registry.check(name, value)
    assert caught.value.where == name
    assert caught.value.status == 422


def test_an_unknown_key_gets_a_suggestion() -> None:
    with pytest.raises(SivoError) as caught:
        registry.get("ai.max_turn")
    assert caught.value.code == "CONFIG_KEY_UNKNOWN"
    assert caught.value.remedy == "did you mean ai.max_turns?"


def test_an_error_never_repeats_a_secret() -> None:
    with pytest.raises(SivoError) as caught:
        registry.check("webhooks.signing_secret", "canary-7")
    assert "canary" not in str(caught.value)
    assert REDACTED in str(caught.value)


def test_roles_are_those_of_the_reference() -> None:
    for name, key in registry.KEYS.items():
        assert ("agent" in key.read_roles) == name.startswith("tenant."), name
        assert {"viewer", "supervisor", "admin", "superadmin"} <= set(key.read_roles), name
        assert set(key.write_roles) == (set() if key.read_only else {"admin", "superadmin"}), name
    assert [name for name, key in registry.KEYS.items() if key.read_only] == ["sf.connected_orgs", "sf.user_mappings"]


def test_scopes_are_those_of_the_reference() -> None:
    org = {"sf.jwt_keypair_id", "sf.scrt_base_url", "sf.push_transcripts", "sf.message_provider_name"}
    endpoint = {"webhooks.signing_secret", "webhooks.retry_max_attempts", "webhooks.timeout_ms"}
    assert {name for name, key in registry.KEYS.items() if "org" in key.scopes} == org
    assert {name for name, key in registry.KEYS.items() if "endpoint" in key.scopes} == endpoint
    only_tenant = {"tenant.slug", "tenant.sip_domain", "tenant.dashboard_url"}
    assert {name for name, key in registry.KEYS.items() if key.scopes == ("tenant",)} == only_tenant


def test_every_key_describes_itself_completely() -> None:
    for key in registry.KEYS.values():
        found = key.describe()
        assert found["help"].endswith(".")
        assert found["schema"]
        assert found["key"] == key.name

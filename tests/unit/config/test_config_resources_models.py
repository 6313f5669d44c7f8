"""The models of resources: what is refused, what is brought to normal form, what is kept out of bodies."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from sivo.base.errors import SivoError
from sivo.config import all_kinds
from sivo.config.bodies import names_of, split_secrets, validated

KINDS = all_kinds.load()
ID = str(uuid4())
AGENT = {"name": "Ana", "intents": [{"name": "order", "phrases": ["where is my order"], "reply": "On its way."}]}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("tenant", {"name": "Acme", "plan": "enterprise", "slug": "acme"}),
    ("user", {"email": "Ana@Example.com", "name": "Ana", "role": "supervisor", "extension": "1001"}),
    ("extension", {"number": "999"}),
    ("trunk", {"name": "carrier", "cidrs": ["185.45.152.0/24", "2001:db8::/48"], "outbound": [{"prefix": "+34"}]}),
    ("did", {"number": "+34910000100", "target": {"kind": "ai_agent", "id": ID}, "transcription_language": "en"}),
    ("ai_agent", AGENT),
    ("recording_policy", {"name": "all", "format": "ogg", "retention_days": 30}),
    ("transcription_policy", {"name": "one", "scope": "did", "scope_id": ID}),
    ("webhook_endpoint", {"url": "https://example.com/hook", "events": ["call.ended"]}),
    ("secret", {"name": "llm_api_key", "host": "api.groq.com"}),
    ("secret", {"name": "stt_api_key", "base_url": "https://asr.example.com:8443/v1"}),
    ("lead_inbox", {"source": "pricing", "email": "Sales@example.com", "retention_days": 90}),
    ("change_control", {"reason_required": True}),
    ("schedule", {"name": "Office", "hours": {"mon": {"open": "09:00", "close": "18:00"}}, "holidays": ["2026-12-25"]}),
    ("ring_group", {"name": "Sales", "extensions": [ID], "no_answer": {"kind": "ai_agent", "id": ID}}),
    ("carrier_limits", {"calls_per_minute": 30}),
    ("api_key", {"name": "CI", "prefix": "abcdefghij", "role": "admin", "scopes": ["config:read"]}),
]

BAD: list[tuple[str, dict[str, Any]]] = [
    ("tenant", {"name": ""}),
    ("tenant", {"name": "Acme", "plan": "gold"}),
    ("user", {"email": "no-address", "name": "x"}),
    ("user", {"email": "a@example.com", "name": "x", "role": "root"}),
    ("extension", {"number": "12"}),
    ("extension", {"number": "123456"}),
    ("extension", {"number": "1001", "unknown": 1}),
    ("trunk", {"name": "x", "cidrs": ["185.45.152.180/24"]}),
    ("trunk", {"name": "x", "cidrs": ["0.0.0.0/0"]}),
    ("trunk", {"name": "x", "outbound": [{"prefix": "34"}]}),
    ("did", {"number": "910000100"}),
    ("did", {"number": "+34910000100", "target": {"kind": "queue", "id": ID}}),
    ("did", {"number": "+34910000100", "transcription_language": "xx"}),
    ("ai_agent", {**AGENT, "max_turns": 201}),
    ("ai_agent", {**AGENT, "transfer_to": "sales"}),
    ("ai_agent", {"name": "x", "intents": [*AGENT["intents"], *AGENT["intents"]]}),
    ("ai_agent", {"name": "x", "intents": [{**AGENT["intents"][0], "after": ["nothing"]}]}),
    ("ai_agent", {"name": "x", "intents": [{**AGENT["intents"][0], "action": "transfer"}]}),
    ("recording_policy", {"name": "x", "scope": "did"}),
    ("recording_policy", {"name": "x", "scope_id": ID}),
    ("recording_policy", {"name": "x", "retention_days": 3651}),
    ("webhook_endpoint", {"url": "ftp://example.com"}),
    ("webhook_endpoint", {"url": "https://example.com", "events": []}),
    ("webhook_endpoint", {"url": "https://example.com", "events": ["call.end"]}),
    ("api_key", {"name": "CI", "prefix": "abcdefghij", "role": "superadmin", "scopes": ["config:read"]}),
    ("api_key", {"name": "CI", "prefix": "abcdefghij", "role": "admin", "scopes": []}),
    ("lead_inbox", {"source": "a b", "email": "sales@example.com"}),
    ("lead_inbox", {"email": "sales"}),
    ("secret", {"name": "has/slash"}),
    ("secret", {"name": "stt_api_key", "base_url": "asr.example.com"}),
    ("secret", {"name": "stt_api_key", "base_url": "https://one.example.com/v1", "host": "two.example.com"}),
]


def test_every_kind_has_a_good_example() -> None:
    assert {kind for kind, _ in GOOD} == set(KINDS)


@pytest.mark.parametrize(("kind", "body"), GOOD)
def test_good_bodies_are_stable(kind: str, body: dict[str, Any]) -> None:
    once = validated(KINDS[kind], body)
    assert validated(KINDS[kind], once) == once
    assert set(once) == set(KINDS[kind].model.model_fields)


@pytest.mark.parametrize(("kind", "body"), BAD)
def test_bad_bodies_name_kind_and_field(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(SivoError) as caught:
        validated(KINDS[kind], body)
    assert caught.value.code == "VALIDATION_FAILED"
    assert (caught.value.where or "").startswith(kind)
    assert caught.value.details["errors"]


def test_an_error_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(SivoError) as caught:
        validated(KINDS["extension"], {"number": "canary-4711"})
    assert "canary" not in f"{caught.value} {caught.value.details}"


def test_secret_fields_never_reach_a_body() -> None:
    plain, secrets = split_secrets(KINDS["extension"], {"number": "1001", "sip_password": "canary"})
    assert (plain, secrets) == ({"number": "1001"}, {"sip_password": "canary"})
    for kind in KINDS.values():
        assert not {one.field for one in kind.secrets} & set(kind.model.model_fields), kind.name


def test_generated_secrets_are_long_and_differ() -> None:
    for kind in KINDS.values():
        for secret in kind.secrets:
            if secret.generate is not None:
                first, second = secret.generate(), secret.generate()
                assert first != second
                assert max(secret.min_length, 24) <= len(first) <= secret.max_length


def test_unique_names_follow_the_body() -> None:
    policy = KINDS["recording_policy"]
    wide = validated(policy, {"name": "all"})
    one = validated(policy, {"name": "one", "scope": "did", "scope_id": ID})
    assert list(names_of(policy, wide).values()) == ["tenant|"]
    assert list(names_of(policy, one).values()) == [f"did|{ID}"]
    assert names_of(KINDS["user"], validated(KINDS["user"], {"email": "A@x.example.com", "name": "a"})) == {
        KINDS["user"].unique[0]: "a@x.example.com"
    }
    assert names_of(policy, None) == {}

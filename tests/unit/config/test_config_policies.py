"""Policies of several scopes become one decision, exactly as the reference says."""

from __future__ import annotations

from typing import Any

from sivo.config.policies import Choice, Parties, Policy, applicable, is_active, pick
from sivo.recording import policy as recording
from sivo.transcription import policy as transcription

KEYS: dict[str, Any] = {
    "recording.default_format": "wav",
    "recording.default_retention_days": 30,
    "recording.default_provider_id": "managed",
    "recording.kms_enabled": True,
    "transcription.engine": "deepgram",
    "transcription.language": "es",
    "transcription.speaker_separation": True,
    "transcription.policy_retention_days": 90,
    "transcription.push_to_sf": False,
}


def policy(scope: str, scope_id: str = "", *, active: bool = True, id: str = "", **fields: Any) -> Policy:
    return Policy(id or f"{scope}-{scope_id}", f"{scope} {scope_id}", scope, scope_id, active, fields)


def test_without_a_policy_nothing_is_captured() -> None:
    decision = recording.decide([], Parties(did="d1"), KEYS.__getitem__)
    assert not decision.capture
    assert decision.rule == "no policy applies"


def test_a_policy_of_another_did_does_not_apply() -> None:
    assert applicable([policy("did", "d2")], Parties(did="d1")) == []
    assert not recording.decide([policy("did", "d2")], Parties(did="d1"), KEYS.__getitem__).capture


def test_the_most_specific_wins_field_by_field() -> None:
    policies = [
        policy("tenant", format="mp3", retention_days=20),
        policy("did", "d1", format="ogg"),
        policy("queue", "q1", retention_days=5),
    ]
    decision = recording.decide(policies, Parties(did="d1", queue="q1"), KEYS.__getitem__)
    assert (decision.format, decision.retention_days, decision.provider_id) == ("ogg", 5, "managed")
    assert decision.sources["format"].startswith("policy did d1")
    assert decision.sources["provider_id"] == "key recording.default_provider_id"


def test_the_most_specific_active_decides() -> None:
    policies = [policy("tenant"), policy("did", "d1", active=False)]
    assert not is_active(applicable(policies, Parties(did="d1"))).value
    assert is_active(applicable(policies, Parties(did="d2"))).value


def test_no_on_a_person_beats_every_yes() -> None:
    policies = [policy("tenant"), policy("agent", "ann", active=False), policy("agent", "bob", active=True)]
    both = Parties(people=("bob", "ann"))
    assert not is_active(applicable(policies, both)).value
    assert is_active(applicable(policies, Parties(people=("bob",)))).value


def test_a_yes_on_a_person_beats_a_wider_no() -> None:
    policies = [policy("tenant", active=False), policy("agent", "bob")]
    assert is_active(applicable(policies, Parties(people=("bob",)))).value


def test_two_people_get_the_shorter_retention() -> None:
    policies = [policy("agent", "ann", retention_days=9), policy("agent", "bob", retention_days=4)]
    applied = applicable(policies, Parties(people=("ann", "bob")))
    choice = pick(applied, "retention_days", Choice(30, "key"), min)
    assert choice == Choice(4, "policy agent bob (agent bob)")


def test_a_dids_language_beats_the_key_and_a_policys_beats_the_did() -> None:
    parties = Parties(did="d1")
    by_did = transcription.decide([policy("tenant")], parties, KEYS.__getitem__, did_language="fr")
    by_policy = transcription.decide([policy("tenant", language="de")], parties, KEYS.__getitem__, did_language="fr")
    by_key = transcription.decide([policy("tenant")], parties, KEYS.__getitem__)
    assert (by_did.language, by_policy.language, by_key.language) == ("fr", "de", "es")
    assert by_did.sources["language"] == "DID d1"


def test_a_stored_body_gives_only_what_it_sets() -> None:
    body = {"name": "all", "scope": "tenant", "scope_id": None, "active": True, "format": None, "retention_days": 7}
    made = Policy.from_body("id-1", body, recording.POLICY_FIELDS)
    assert (made.scope, made.scope_id, dict(made.fields)) == ("tenant", "", {"retention_days": 7})

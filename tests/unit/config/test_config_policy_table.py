"""Precedence of tenant, DID, queue and person, field by field, with one and two people: every case of the table."""

from __future__ import annotations

from typing import Any

import pytest
from test_config_policies import KEYS

from sivo.config.policies import Parties, Policy
from sivo.recording import policy as recording
from sivo.transcription import policy as transcription
from support.policy_table import CASES, RULES, Case


def _rules(part: str) -> list[Policy]:
    return [Policy(one.name, one.name, one.scope, one.target, one.active, dict(getattr(one, part))) for one in RULES]


def _said(rule: str) -> str:
    """The name of a policy in the rule that a decision gives; a key as it is."""
    return rule.split()[1] if rule.startswith("policy ") else rule


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_the_most_specific_decides_and_two_people_get_the_stricter(case: Case) -> None:
    parties = Parties(did=case.did, queue=case.queue, people=case.people)
    sound = recording.decide(_rules("recording"), parties, KEYS.__getitem__)
    words = transcription.decide(_rules("words"), parties, KEYS.__getitem__)
    found: dict[str, Any] = {"recorded": (sound.capture, _said(sound.rule))}
    found["transcribed"] = (words.capture, _said(words.rule))
    found |= {f"recording.{name}": (getattr(sound, name), _said(rule)) for name, rule in sound.sources.items()}
    found |= {f"transcription.{name}": (getattr(words, name), _said(rule)) for name, rule in words.sources.items()}
    assert {what: found[what] for what in case.expected} == case.expected

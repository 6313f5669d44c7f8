"""Whether a call is transcribed, and how: one decision with the rule that made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sivo.config.policies import Choice, Parties, Policy, applicable, is_active, pick

FIELDS = {
    "engine": "transcription.engine",
    "language": "transcription.language",
    "speaker_separation": "transcription.speaker_separation",
    "retention_days": "transcription.policy_retention_days",
    "push_to_sf": "transcription.push_to_sf",
}


@dataclass(frozen=True)
class TranscriptionDecision:
    """What is done with the words of one call, and why."""

    capture: bool
    rule: str
    engine: str
    language: str
    speaker_separation: bool
    retention_days: int
    push_to_sf: bool
    sources: dict[str, str]

    def details(self) -> dict[str, Any]:
        """For storing with the call."""
        # Flat, so without the deep copies of dataclasses.asdict: a call is told of this several times.
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"sources": dict(self.sources)}


def decide(
    policies: Sequence[Policy], parties: Parties, read: Callable[[str], Any], *, did_language: str = ""
) -> TranscriptionDecision:
    """Decide for a call with ``parties``. A DID's own language beats the key, a policy's beats both."""
    applied = applicable(policies, parties)
    active = is_active(applied)
    fallback = {name: Choice(read(key), f"key {key}") for name, key in FIELDS.items()}
    if did_language:
        fallback["language"] = Choice(did_language, f"DID {parties.did}")
    stricter: dict[str, Callable[[Sequence[Any]], Any]] = {"retention_days": min, "push_to_sf": all}
    chosen = {name: pick(applied, name, fallback[name], stricter.get(name)) for name in FIELDS}
    return TranscriptionDecision(
        capture=active.value,
        rule=active.rule,
        engine=str(chosen["engine"].value),
        language=str(chosen["language"].value),
        speaker_separation=bool(chosen["speaker_separation"].value),
        retention_days=int(chosen["retention_days"].value),
        push_to_sf=bool(chosen["push_to_sf"].value),
        sources={name: choice.rule for name, choice in chosen.items()},
    )

"""Whether a call is recorded, and how: one decision with the rule that made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sivo.config.policies import Choice, Parties, Policy, applicable, is_active, pick

#: Fields that a recording policy may set, and the key that each falls back to.
FIELDS = {
    "format": "recording.default_format",
    "retention_days": "recording.default_retention_days",
    "provider_id": "recording.default_provider_id",
}
POLICY_FIELDS = (*FIELDS, "expiry_action")


@dataclass(frozen=True)
class RecordingDecision:
    """What is done with the audio of one call, and why."""

    capture: bool
    rule: str
    format: str
    retention_days: int
    provider_id: str
    kms: bool
    expiry_action: str
    #: field -> rule that set it.
    sources: dict[str, str]

    def details(self) -> dict[str, Any]:
        """For storing with the call."""
        # Flat, so without the deep copies of dataclasses.asdict: a call is told of this several times.
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"sources": dict(self.sources)}


def decide(policies: Sequence[Policy], parties: Parties, read: Callable[[str], Any]) -> RecordingDecision:
    """Decide for a call with ``parties``; ``read`` gives a configuration key from the call's snapshot."""
    applied = applicable(policies, parties)
    active = is_active(applied)
    chosen: dict[str, Choice[Any]] = {
        name: pick(applied, name, Choice(read(key), f"key {key}"), min if name == "retention_days" else None)
        for name, key in FIELDS.items()
    }
    expiry = pick(applied, "expiry_action", Choice("delete", "default"))
    return RecordingDecision(
        capture=active.value,
        rule=active.rule,
        format=str(chosen["format"].value),
        retention_days=int(chosen["retention_days"].value),
        provider_id=str(chosen["provider_id"].value),
        kms=bool(read("recording.kms_enabled")),
        expiry_action=str(expiry.value),
        sources={name: choice.rule for name, choice in chosen.items()},
    )

"""Who answers: a pure decision that says by which rule it was made, so that it can be stored and explained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.routing import answering, numbers
from sivo.routing.answering import Gate
from sivo.routing.directory import Did, Directory, Extension, OutboundRule, Trunk
from sivo.routing.targets import (
    FORBIDDEN,
    NOT_FOUND,
    Refuse,
    Target,
    ToAgent,
    ToExtension,
    ToGroup,
    ToTrunk,
    told,
    word,
)

__all__ = [
    "FORBIDDEN",
    "NOT_FOUND",
    "Refuse",
    "RouteDecision",
    "Target",
    "ToAgent",
    "ToExtension",
    "ToGroup",
    "ToTrunk",
    "from_extension",
    "from_trunk",
    "transfer",
]


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """The target with the rule that chose it and a sentence for people."""

    target: Target
    rule: str
    reason: str
    direction: str
    from_number: str
    to_number: str
    did: Did | None = None
    trunk: Trunk | None = None
    #: The instant that it holds for, and the schedules that were asked.
    at: datetime | None = None
    gates: tuple[Gate, ...] = ()

    def outcome(self) -> str:
        """One word for the record; see :func:`sivo.routing.targets.word`."""
        return word(self.target)

    def details(self) -> dict[str, Any]:
        """Ids and names for the trace; JSON."""
        found: dict[str, Any] = {"from": self.from_number, "to": self.to_number, "direction": self.direction}
        if self.did:
            found["did"] = {"id": str(self.did.id), "number": self.did.number}
        if self.trunk:
            found["trunk"] = {"id": str(self.trunk.id), "name": self.trunk.name}
        if self.at:
            found["at"] = self.at.isoformat()
        if self.gates:
            found["schedules"] = [gate.told() for gate in self.gates]
        return found | {"target": told(self.target)}


def from_trunk(directory: Directory, did: Did, trunk: Trunk, from_user: str, at: datetime) -> RouteDecision:
    """Route a call that a carrier brought for ``did`` at ``at``."""
    answer = answering.of_did(directory, did, at)
    return RouteDecision(
        target=answer.target,
        rule=_gated("trunk.did", answer.gates),
        reason=f"{did.number} belongs to trunk {trunk.name}; {answer.reason}",
        direction="inbound",
        from_number=numbers.display(from_user),
        to_number=did.number,
        did=did,
        trunk=trunk,
        at=at,
        gates=answer.gates,
    )


def from_extension(directory: Directory, caller: Extension, to_user: str, at: datetime) -> RouteDecision:
    """Route what a phone of ``caller`` dials at ``at``: own extension, own DID, then a trunk that allows the number."""
    dialled = numbers.dialled(to_user)
    extension = directory.extension(caller.tenant_id, dialled)
    if extension is not None:
        return _from_extension(caller, dialled, ToExtension(extension), "extension", f"{dialled} is an extension")
    candidates = numbers.e164_candidates(dialled)
    did = directory.did_of_tenant(caller.tenant_id, candidates)
    if did is not None:
        answer = answering.of_did(directory, did, at)
        rule = _gated("extension.did", answer.gates)
        reason = f"own DID {did.number}; {answer.reason}"
        made = _from_extension(caller, did.number, answer.target, rule, reason, did=did)
        return replace(made, at=at, gates=answer.gates)
    return _outbound(directory, caller, dialled, candidates)


def transfer(directory: Directory, tenant_id: UUID, number: str, at: datetime, *, from_trunk: bool) -> Target:
    """Who a transfer to ``number`` at ``at`` reaches: an extension or a ring group, directly or behind an own DID, or a
    carrier.

    A carrier only by its outbound rules, and never for a call that a carrier brought: no trunk to trunk.
    """
    dialled = numbers.dialled(number)
    extension = directory.extension(tenant_id, dialled)
    if extension is not None:
        return ToExtension(extension)
    candidates = numbers.e164_candidates(dialled)
    did = directory.did_of_tenant(tenant_id, candidates)
    if did is not None:
        target = answering.of_did(directory, did, at).target
        return target if isinstance(target, ToExtension | ToGroup) else NOT_FOUND
    if from_trunk or numbers.is_extension(dialled):
        return FORBIDDEN
    allowed = _allowed(directory, tenant_id, candidates)
    return _in_turn(allowed) if allowed else FORBIDDEN


def _outbound(directory: Directory, caller: Extension, dialled: str, candidates: list[str]) -> RouteDecision:
    if not candidates or numbers.is_extension(dialled):
        return _from_extension(caller, dialled, NOT_FOUND, "unknown", f"{dialled} is no extension and no DID")
    allowed = _allowed(directory, caller.tenant_id, candidates)
    if allowed:
        trunk, number, rule = allowed[0]
        reason = f"trunk {trunk.name} allows {rule.prefix}"
        if allowed[1:]:
            reason += f"; then {', '.join(one.name for one, _, _ in allowed[1:])}"
        return _from_extension(caller, number, _in_turn(allowed), "outbound.allowed", reason, "outbound", trunk=trunk)
    reason = f"no outbound rule of a trunk allows {candidates[0]}; outbound calls are denied by default"
    return _from_extension(caller, candidates[0], FORBIDDEN, "outbound.denied", reason, "outbound")


_Allowed = tuple[Trunk, str, OutboundRule]


def _allowed(directory: Directory, tenant_id: UUID, candidates: list[str]) -> list[_Allowed]:
    """Trunks with a host and a rule for one of ``candidates``, with that number and rule: by the rule's priority, and
    the older trunk first."""
    found = [one for trunk in directory.trunks_of(tenant_id) if (one := _allows(trunk, candidates)) is not None]
    return sorted(found, key=lambda one: one[2].priority)


def _allows(trunk: Trunk, candidates: list[str]) -> _Allowed | None:
    for number in candidates:
        rules = [rule for rule in trunk.outbound if rule.prefix and number.startswith(rule.prefix)]
        if rules and trunk.host and _country_allowed(trunk, number):
            # What the longest prefix says about a trunk is meant more than what a shorter one says.
            return trunk, number, max(rules, key=lambda rule: len(rule.prefix))
    return None


def _in_turn(allowed: list[_Allowed]) -> ToTrunk:
    first, *others = [ToTrunk(trunk, number) for trunk, number, _ in allowed]
    return replace(first, others=tuple(others))


def _country_allowed(trunk: Trunk, number: str) -> bool:
    return not trunk.countries or any(number.startswith(f"+{code}") for code in trunk.countries)


def _from_extension(
    caller: Extension,
    to_number: str,
    target: Target,
    rule: str,
    reason: str,
    direction: str = "internal",
    *,
    did: Did | None = None,
    trunk: Trunk | None = None,
) -> RouteDecision:
    return RouteDecision(target, rule, reason, direction, caller.number, to_number, did, trunk)


def _gated(rule: str, gates: tuple[Gate, ...]) -> str:
    """The rule with what each schedule went by: ``trunk.did+schedule.holiday``."""
    return "".join([rule, *(f"+schedule.{gate.verdict.rule}" for gate in gates)])

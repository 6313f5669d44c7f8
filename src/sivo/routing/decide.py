"""Who answers: a pure decision that says by which rule it was made, so that it can be stored and explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.routing import numbers
from sivo.routing.directory import Agent, Did, Directory, Extension, Trunk


@dataclass(frozen=True, slots=True)
class ToAgent:
    """An AI agent answers."""

    agent: Agent


@dataclass(frozen=True, slots=True)
class ToExtension:
    """The phones of an extension ring."""

    extension: Extension


@dataclass(frozen=True, slots=True)
class ToTrunk:
    """The call leaves through a carrier."""

    trunk: Trunk
    number: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nobody answers: the SIP status and the cause for the CDR."""

    status: int
    phrase: str
    cause: str


Target = ToAgent | ToExtension | ToTrunk | Refuse


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

    def outcome(self) -> str:
        """One word for the record: ``ai_agent``, ``extension``, ``trunk`` or ``refused``."""
        match self.target:
            case ToAgent():
                return "ai_agent"
            case ToExtension():
                return "extension"
            case ToTrunk():
                return "trunk"
            case Refuse():
                return "refused"

    def details(self) -> dict[str, Any]:
        """Ids and names for the trace; JSON."""
        found: dict[str, Any] = {"from": self.from_number, "to": self.to_number, "direction": self.direction}
        if self.did:
            found["did"] = {"id": str(self.did.id), "number": self.did.number}
        if self.trunk:
            found["trunk"] = {"id": str(self.trunk.id), "name": self.trunk.name}
        match self.target:
            case ToAgent(agent):
                found["target"] = {"kind": "ai_agent", "id": str(agent.id), "name": agent.name}
            case ToExtension(extension):
                found["target"] = {"kind": "extension", "id": str(extension.id), "number": extension.number}
            case ToTrunk(trunk, number):
                found["target"] = {"kind": "trunk", "id": str(trunk.id), "name": trunk.name, "number": number}
            case Refuse(status, phrase, cause):
                found["target"] = {"kind": "refused", "status": status, "phrase": phrase, "cause": cause}
        return found


NOT_FOUND = Refuse(404, "Not Found", "UNALLOCATED_NUMBER")
FORBIDDEN = Refuse(403, "Forbidden", "CALL_REJECTED")


def from_trunk(directory: Directory, did: Did, trunk: Trunk, from_user: str) -> RouteDecision:
    """Route a call that a carrier brought for ``did``."""
    target, reason = _did_target(directory, did)
    return RouteDecision(
        target=target,
        rule="trunk.did",
        reason=f"{did.number} belongs to trunk {trunk.name}; {reason}",
        direction="inbound",
        from_number=numbers.display(from_user),
        to_number=did.number,
        did=did,
        trunk=trunk,
    )


def from_extension(directory: Directory, caller: Extension, to_user: str) -> RouteDecision:
    """Route what a phone of ``caller`` dialled: own extension, own DID, then a trunk that allows the number."""
    dialled = numbers.dialled(to_user)
    extension = directory.extension(caller.tenant_id, dialled)
    if extension is not None:
        return _from_extension(caller, dialled, ToExtension(extension), "extension", f"{dialled} is an extension")
    candidates = numbers.e164_candidates(dialled)
    did = directory.did_of_tenant(caller.tenant_id, candidates)
    if did is not None:
        target, reason = _did_target(directory, did)
        return _from_extension(caller, did.number, target, "extension.did", f"own DID {did.number}; {reason}", did=did)
    return _outbound(directory, caller, dialled, candidates)


def transfer(directory: Directory, tenant_id: UUID, number: str, *, from_trunk: bool) -> Target:
    """Who a transfer to ``number`` reaches: an extension, directly or behind an own DID, or a carrier.

    A carrier only by its outbound rules, and never for a call that a carrier brought: no trunk to trunk.
    """
    dialled = numbers.dialled(number)
    extension = directory.extension(tenant_id, dialled)
    if extension is not None:
        return ToExtension(extension)
    candidates = numbers.e164_candidates(dialled)
    did = directory.did_of_tenant(tenant_id, candidates)
    if did is not None:
        target, _ = _did_target(directory, did)
        return target if isinstance(target, ToExtension) else NOT_FOUND
    if from_trunk or numbers.is_extension(dialled):
        return FORBIDDEN
    allowed = _allowed_trunk(directory, tenant_id, candidates)
    return ToTrunk(allowed[0], allowed[1]) if allowed else FORBIDDEN


def _outbound(directory: Directory, caller: Extension, dialled: str, candidates: list[str]) -> RouteDecision:
    if not candidates or numbers.is_extension(dialled):
        return _from_extension(caller, dialled, NOT_FOUND, "unknown", f"{dialled} is no extension and no DID")
    allowed = _allowed_trunk(directory, caller.tenant_id, candidates)
    if allowed is not None:
        trunk, number, prefix = allowed
        reason = f"trunk {trunk.name} allows {prefix}"
        return _from_extension(
            caller, number, ToTrunk(trunk, number), "outbound.allowed", reason, "outbound", trunk=trunk
        )
    reason = f"no outbound rule of a trunk allows {candidates[0]}; outbound calls are denied by default"
    return _from_extension(caller, candidates[0], FORBIDDEN, "outbound.denied", reason, "outbound")


def _allowed_trunk(directory: Directory, tenant_id: UUID, candidates: list[str]) -> tuple[Trunk, str, str] | None:
    """The first trunk with a host and a rule for one of ``candidates``, with that number and the rule's prefix."""
    for trunk in directory.trunks_of(tenant_id):
        for number in candidates:
            rule = next((r for r in trunk.outbound if r.prefix and number.startswith(r.prefix)), None)
            if rule is not None and trunk.host and _country_allowed(trunk, number):
                return trunk, number, rule.prefix
    return None


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


def _did_target(directory: Directory, did: Did) -> tuple[Target, str]:
    if did.target_id is not None and did.target_kind == "ai_agent":
        agent = directory.agent(did.target_id)
        if agent is not None and agent.tenant_id == did.tenant_id:
            return ToAgent(agent), f"AI agent {agent.name} answers"
    if did.target_id is not None and did.target_kind == "extension":
        extension = directory.extension_by_id(did.tenant_id, did.target_id)
        if extension is not None:
            return ToExtension(extension), f"extension {extension.number} answers"
    return Refuse(480, "Temporarily Unavailable", "NO_ROUTE_DESTINATION"), "its target does not exist"

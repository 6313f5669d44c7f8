"""Which configuration a call pins: the tenant's values, with fields of DID and AI agent that stand in for keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sivo.config.key import Inputs, Level
from sivo.config.registry import KEYS
from sivo.config.resolve import Resolver, Stored
from sivo.config.snapshot import Snapshot
from sivo.config.state import TenantRow
from sivo.routing.directory import Agent, Did

#: (resource kind, field) -> the key that the field stands in for.
_STAND_INS = {
    (place.split(".", 1)[0], place.split(".", 1)[1]): key.name for key in KEYS.values() for place in key.overridden_by
}


class Pinner:
    """Makes the snapshots of one tenant."""

    def __init__(self, tenant: TenantRow, stored: Iterable[Stored], inputs: Inputs) -> None:
        self._tenant = tenant
        self._inputs = inputs
        self._stored = [one for one in stored if one.level not in (Level.ORG, Level.ENDPOINT)]
        self._locale = str(Resolver(inputs, self._stored).effective("tenant.default_locale").value)

    def all(self, dids: Iterable[Did], agents: Iterable[Agent]) -> Mapping[tuple[UUID | None, UUID | None], Snapshot]:
        """Snapshots for every DID with its agent, every agent alone, and the tenant itself."""
        by_id = {agent.id: agent for agent in agents}
        found: dict[tuple[UUID | None, UUID | None], Snapshot] = {(None, None): self.snapshot(None, None)}
        for agent in by_id.values():
            found[None, agent.id] = self.snapshot(None, agent)
        for did in dids:
            agent_of_did = by_id.get(did.target_id) if did.target_kind == "ai_agent" and did.target_id else None
            found[did.id, agent_of_did.id if agent_of_did else None] = self.snapshot(did, agent_of_did)
        return found

    def snapshot(self, did: Did | None, agent: Agent | None) -> Snapshot:
        """The configuration of a call through ``did`` to ``agent``."""
        language, source = self._language(did, agent)
        stored = [*self._stored, *_of_did(did), *_of_agent(agent)]
        resolver = Resolver(self._inputs, stored, call_language=language)
        levels = {name: [one.told() for one in found] for name in KEYS if (found := resolver.levels(name))}
        return Snapshot.make(self._tenant.id, self._tenant.version, resolver.all(), language, source, levels)

    def _language(self, did: Did | None, agent: Agent | None) -> tuple[str, str]:
        if agent is not None and agent.body.get("language"):
            return str(agent.body["language"]), f"agent:{agent.name}"
        if did is not None and did.language:
            return did.language, f"did:{did.number}"
        return self._locale, "tenant.default_locale"


def _of_did(did: Did | None) -> list[Stored]:
    body: dict[str, Any] = {"transcription_language": did.language} if did else {}
    return _stand_ins("did", Level.DID, did.number if did else "", body)


def _of_agent(agent: Agent | None) -> list[Stored]:
    return _stand_ins("ai_agent", Level.AGENT, agent.name if agent else "", agent.body if agent else {})


def _stand_ins(kind: str, level: Level, target: str, body: Mapping[str, Any]) -> list[Stored]:
    return [
        Stored(key=key, level=level, value=body[field], target=target)
        for (of_kind, field), key in _STAND_INS.items()
        if of_kind == kind and body.get(field) not in (None, "")
    ]

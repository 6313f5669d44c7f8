"""Which configuration a call pins: the tenant's values, with fields of DID and AI agent that stand in for keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from sivo.config.key import Inputs, Level
from sivo.config.registry import KEYS
from sivo.config.resolve import Resolver, Stored
from sivo.config.snapshot import Snapshot
from sivo.config.state import TenantRow
from sivo.routing.directory import Agent, Did, RingGroup
from sivo.routing.target_spec import AGENT, RING_GROUP, TargetSpec

#: (resource kind, field) -> the key that the field stands in for.
_STAND_INS = {
    (place.split(".", 1)[0], place.split(".", 1)[1]): key.name for key in KEYS.values() for place in key.overridden_by
}


#: (DID, AI agent) that a call goes through; None where there is none.
Place = tuple[UUID | None, UUID | None]


class Pins(Mapping[Place, Snapshot]):
    """Snapshots that are made when a call first asks for them, and kept.

    A tenant may have thousands of DIDs: making one snapshot takes longer than any other part of taking a change in.
    """

    def __init__(self, pinner: Pinner, wanted: Mapping[Place, tuple[Did | None, Agent | None]]) -> None:
        self._pinner = pinner
        self._wanted = wanted
        self._made: dict[Place, Snapshot] = {}

    def __getitem__(self, place: Place) -> Snapshot:
        did, agent = self._wanted[place]
        same = (did.id if did else None, agent.id if agent else None)
        found = self._made.get(same)
        if found is None:
            found = self._made[same] = self._pinner.snapshot(did, agent)
        return found

    def __iter__(self) -> Iterator[Place]:
        return iter(self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)


class Pinner:
    """Makes the snapshots of one tenant."""

    def __init__(self, tenant: TenantRow, stored: Iterable[Stored], inputs: Inputs) -> None:
        self._tenant = tenant
        self._inputs = inputs
        self._stored = [one for one in stored if one.level not in (Level.ORG, Level.ENDPOINT)]
        self._locale = str(Resolver(inputs, self._stored).effective("tenant.default_locale").value)

    def all(
        self, dids: Iterable[Did], agents: Iterable[Agent], groups: Iterable[RingGroup] = ()
    ) -> Mapping[Place, Snapshot]:
        """Snapshots for every DID alone and with each agent that may answer it, every agent alone, and the tenant."""
        by_id = {agent.id: agent for agent in agents}
        by_group = {group.id: group for group in groups}
        wanted: dict[Place, tuple[Did | None, Agent | None]] = {(None, None): (None, None)}
        for agent in by_id.values():
            wanted[None, agent.id] = (None, agent)
        for did in dids:
            # A DID that sets nothing itself pins what its agent alone would pin.
            own = did if did.language else None
            wanted[did.id, None] = (own, None)
            for agent_id in _reached(did.spec, by_group) & by_id.keys():
                wanted[did.id, agent_id] = (own, by_id[agent_id])
        return Pins(self, wanted)

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


def _reached(spec: TargetSpec | None, groups: Mapping[UUID, RingGroup]) -> set[UUID]:
    """Ids of the agents that a call may come to, at some time or when nobody else answers."""
    found, seen = set(), set()
    waiting = [spec]
    while waiting:
        next_ = waiting.pop()
        for one in next_.all() if next_ else ():
            if one.kind == AGENT:
                found.add(one.id)
            elif one.kind == RING_GROUP and one.id in groups and one.id not in seen:
                seen.add(one.id)
                waiting.append(groups[one.id].no_answer)
    return found


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

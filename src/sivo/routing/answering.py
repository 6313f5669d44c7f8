"""Who answers a DID at an instant: schedule gates are passed, ring groups filled, what is gone refused. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.routing.directory import Did, Directory, Extension, RingGroup
from sivo.routing.target_spec import AGENT, EXTENSION, RING_GROUP, SCHEDULE, TargetSpec
from sivo.routing.targets import CLOSED, NOBODY, Target, ToAgent, ToExtension, ToGroup
from sivo.schedules.hours import Verdict, verdict

#: Ring groups that one call may go through; configuration refuses circles, and no call trusts that it did.
MOST_GROUPS = 10


@dataclass(frozen=True, slots=True)
class Gate:
    """One schedule that was asked, with what it said."""

    schedule_id: UUID
    name: str
    zone: str
    verdict: Verdict

    def told(self) -> dict[str, Any]:
        """For the trace; JSON."""
        found = self.verdict
        said = {"open": found.open, "rule": found.rule, "reason": found.reason}
        return {"id": str(self.schedule_id), "name": self.name, "timezone": self.zone, **said}


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answers, why, and which schedules said so, the first one first."""

    target: Target
    reason: str
    gates: tuple[Gate, ...] = ()


def of_did(directory: Directory, did: Did, at: datetime) -> Answer:
    """Who answers ``did`` at ``at``."""
    return _Finder(directory, did.tenant_id, at).find(did.spec)


class _Finder:
    """One tenant at one instant."""

    def __init__(self, directory: Directory, tenant_id: UUID, at: datetime) -> None:
        self._directory = directory
        self._tenant_id = tenant_id
        self._at = at
        self._groups = 0

    def find(self, spec: TargetSpec | None) -> Answer:
        """Who stands behind ``spec``."""
        found = self._look(spec) if spec is not None else None
        return found or Answer(NOBODY, "its target does not exist")

    def _look(self, spec: TargetSpec) -> Answer | None:
        if spec.kind == AGENT:
            agent = self._directory.agent(spec.id)
            if agent is None or agent.tenant_id != self._tenant_id:
                return None
            return Answer(ToAgent(agent), f"AI agent {agent.name} answers")
        if spec.kind == EXTENSION:
            extension = self._directory.extension_by_id(self._tenant_id, spec.id)
            return Answer(ToExtension(extension), f"extension {extension.number} answers") if extension else None
        if spec.kind == RING_GROUP:
            return self._group(spec)
        return self._gate(spec) if spec.kind == SCHEDULE else None

    def _gate(self, spec: TargetSpec) -> Answer | None:
        schedule = self._directory.schedule(self._tenant_id, spec.id)
        if schedule is None:
            return None
        said = verdict(schedule, self._at)
        gate = Gate(schedule.id, schedule.name, schedule.zone.key, said)
        behind = spec.open if said.open else spec.closed
        if behind is None:
            return Answer(CLOSED, f"{said.reason}; nobody answers out of hours", (gate,))
        found = self.find(behind)
        return Answer(found.target, f"{said.reason}; {found.reason}", (gate, *found.gates))

    def _group(self, spec: TargetSpec) -> Answer | None:
        group = self._directory.ring_group(self._tenant_id, spec.id)
        self._groups += 1
        if group is None or self._groups > MOST_GROUPS:
            return None
        members = self._members(group)
        otherwise = self.find(group.no_answer) if group.no_answer else Answer(NOBODY, "nobody")
        numbers = ", ".join(one.number for one in members) or "nobody"
        how = "at once" if group.strategy == "ring_all" else "in order"
        reason = f"ring group {group.name} rings {numbers} {how}"
        if group.no_answer is not None:
            reason += f"; if nobody answers: {otherwise.reason}"
        return Answer(ToGroup(group, members, otherwise.target), reason, otherwise.gates)

    def _members(self, group: RingGroup) -> tuple[Extension, ...]:
        picture = self._directory.pictures.get(self._tenant_id)
        wanted = set(group.extensions)
        there = {one.id: one for one in (picture.extensions if picture else ()) if one.id in wanted}
        return tuple(there[one] for one in group.extensions if one in there)

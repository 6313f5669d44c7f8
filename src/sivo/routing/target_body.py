"""Who answers, as tenants write it: an agent, an extension, a ring group, or a schedule with these on each side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from sivo.base.errors import SivoError
from sivo.config.draft import Draft
from sivo.config.kinds import Body
from sivo.config.state import resources
from sivo.db.scopes import Connection
from sivo.routing.target_spec import RING_GROUP, SCHEDULE, spec_of

#: Schedules that may stand one behind the other in one target.
MOST_GATES = 3


class Target(Body):
    """Who answers. Behind a schedule: ``open`` within its hours, ``out_of_hours`` otherwise (nobody: 480)."""

    kind: Literal["ai_agent", "extension", "ring_group", "schedule"]
    id: UUID
    open: Target | None = None
    out_of_hours: Target | None = None

    @model_validator(mode="after")
    def _gate(self) -> Self:
        if self.kind == SCHEDULE and self.open is None:
            raise ValueError("a schedule needs an open target")
        if self.kind != SCHEDULE and (self.open is not None or self.out_of_hours is not None):
            raise ValueError(f"{self.kind} has no targets of its own; only a schedule has")
        if _gates(self) > MOST_GATES:
            raise ValueError(f"at most {MOST_GATES} schedules may stand one behind the other")
        return self

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


def _gates(target: Target | None) -> int:
    if target is None:
        return 0
    return (target.kind == SCHEDULE) + max(_gates(target.open), _gates(target.out_of_hours))


def references(field: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(field, kind, id) of every resource that the target in ``field`` names."""
    spec = spec_of(body.get(field))
    for one in spec.all() if spec else ():
        yield field, one.kind, str(one.id)


async def check_circles(connection: Connection, draft: Draft) -> None:
    """Refuse ring groups that pass an unanswered call round in a circle. Everything else ends by its form."""
    if not any(one.kind.name == RING_GROUP and one.body is not None for one in draft.resources.values()):
        return
    stored = await resources(connection, draft.base.tenant_id, RING_GROUP)
    bodies = {one.id: one.body for one in stored}
    for one in draft.resources.values():
        if one.kind.name == RING_GROUP:
            bodies[one.id] = one.body or {}
    for start in bodies:
        if _comes_back(bodies, start):
            raise SivoError(
                "VALIDATION_FAILED",
                f"ring_group.no_answer: a call that nobody answers would come back to {bodies[start].get('name')}",
                where="ring_group.no_answer",
                remedy="let the last group end at an extension, an AI agent or nobody",
            )


def _comes_back(bodies: Mapping[UUID, Mapping[str, Any]], start: UUID) -> bool:
    seen: set[UUID] = set()
    waiting = [start]
    while waiting:
        spec = spec_of(bodies.get(waiting.pop(), {}).get("no_answer"))
        for one in spec.all() if spec else ():
            if one.kind != RING_GROUP or one.id in seen:
                continue
            if one.id == start:
                return True
            seen.add(one.id)
            waiting.append(one.id)
    return False

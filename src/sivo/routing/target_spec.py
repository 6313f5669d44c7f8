"""Who is to answer, as it was configured: a tree of schedule gates with somebody at the end of each branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

AGENT, EXTENSION, RING_GROUP, SCHEDULE = "ai_agent", "extension", "ring_group", "schedule"


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """``kind`` and ``id`` of a resource; ``open`` and ``closed`` stand behind a schedule alone."""

    kind: str
    id: UUID
    open: TargetSpec | None = None
    closed: TargetSpec | None = None

    def all(self) -> Iterator[TargetSpec]:
        """Itself and everything behind it."""
        yield self
        for one in (self.open, self.closed):
            if one is not None:
                yield from one.all()


def spec_of(body: Mapping[str, Any] | None) -> TargetSpec | None:
    """A stored target."""
    if not body:
        return None
    return TargetSpec(
        str(body["kind"]), UUID(str(body["id"])), spec_of(body.get("open")), spec_of(body.get("out_of_hours"))
    )

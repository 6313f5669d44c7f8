"""What the room writes down about a call: one class for each of its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(slots=True)
class CallRow:
    """What is known about a call when it begins."""

    id: UUID
    tenant_id: UUID
    direction: str
    from_number: str
    to_number: str
    created_at: datetime
    did_id: UUID | None = None
    agent_id: UUID | None = None
    extension_id: UUID | None = None
    trunk_id: UUID | None = None
    snapshot_hash: str | None = None
    sip_call_id: str = ""


@dataclass(slots=True)
class LegRow:
    """One phone in a call; ``kind`` is ``caller`` or ``callee``. ``dialog``: the INVITE that waits for its answer."""

    id: UUID
    kind: str
    peer: str
    address: str
    sip_call_id: str
    created_at: datetime
    dialog: dict[str, Any] | None = None


@dataclass(slots=True)
class EndRow:
    """How a call ended. ``duration_ms`` is the time from answer to end, 0 when it was never answered."""

    ended_at: datetime
    duration_ms: int
    cause: str
    category: str
    by: str
    detail: str = ""
    mos: float | None = None
    stats: dict[str, Any] = field(default_factory=dict)
    config_reads: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class DecisionRow:
    """One decision with the rule that made it; ``kind`` is ``route``, ``recording`` or ``transcription``."""

    id: UUID
    at: datetime
    kind: str
    phase: str
    outcome: str
    rule: str
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class MessageRow:
    """One SIP message, credentials already removed; ``direction`` is ``in`` or ``out``, seen from us."""

    id: UUID
    at: datetime
    direction: str
    peer: str
    summary: str
    raw: str

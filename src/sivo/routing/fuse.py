"""The fuse against toll fraud: how many calls a tenant may start towards carriers, a minute and at a time. Pure."""

from __future__ import annotations

from collections import deque
from uuid import UUID

from sivo.routing.directory import CarrierLimits

_MINUTE = 60.0


class Fuse:
    """Counts of one node. Times are seconds of one monotonic clock. What is allowed holds where a tenant has no limits
    of its own."""

    def __init__(self, per_minute: int, at_a_time: int) -> None:
        self.per_minute = per_minute
        self.at_a_time = at_a_time
        self._started: dict[UUID, deque[float]] = {}

    def admit(self, tenant_id: UUID, running: int, now: float, limits: CarrierLimits | None = None) -> str:
        """Count one call to a carrier; the reason why it may not be made, or an empty text. A call that may not be
        made is not counted, so that the fuse closes again by itself."""
        own = limits or CarrierLimits()
        per_minute = self.per_minute if own.per_minute is None else own.per_minute
        at_a_time = self.at_a_time if own.at_a_time is None else own.at_a_time
        started = self._started.setdefault(tenant_id, deque())
        while started and now - started[0] >= _MINUTE:
            started.popleft()
        if running >= at_a_time:
            return f"{running} calls to carriers are up, {at_a_time} are allowed at a time"
        if len(started) >= per_minute:
            return f"{len(started)} calls to carriers within a minute, {per_minute} are allowed"
        started.append(now)
        return ""

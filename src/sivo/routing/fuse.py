"""The fuse against toll fraud: how many calls a tenant may start towards carriers, a minute and at a time. Pure."""

from __future__ import annotations

from collections import deque
from uuid import UUID

_MINUTE = 60.0


class Fuse:
    """Counts of one node. Times are seconds of one monotonic clock."""

    def __init__(self, per_minute: int, at_a_time: int) -> None:
        self.per_minute = per_minute
        self.at_a_time = at_a_time
        self._started: dict[UUID, deque[float]] = {}

    def admit(self, tenant_id: UUID, running: int, now: float) -> str:
        """Count one call to a carrier; the reason why it may not be made, or an empty text. A call that may not be
        made is not counted, so that the fuse closes again by itself."""
        started = self._started.setdefault(tenant_id, deque())
        while started and now - started[0] >= _MINUTE:
            started.popleft()
        if running >= self.at_a_time:
            return f"{running} calls to carriers are up, {self.at_a_time} are allowed at a time"
        if len(started) >= self.per_minute:
            return f"{len(started)} calls to carriers within a minute, {self.per_minute} are allowed"
        started.append(now)
        return ""

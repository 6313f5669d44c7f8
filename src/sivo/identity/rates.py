"""The published rate limits of the API: exact moving windows, on the clock that is passed in.

Pure counting; :mod:`sivo.identity.shared_rates` is what processes share. A refused request is not counted, so the
window slides on while a client keeps knocking. The login limit is taken before any password is hashed.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sivo.base.errors import SivoError


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` requests in any ``window_sec`` seconds; ``name`` is shown to the client."""

    name: str
    amount: int
    window_sec: int


#: POST /auth/login, counted by client IP.
LOGIN = Limit("login", 5, 15 * 60)
#: POST /auth/agent, counted by user.
AGENT = Limit("agent", 10, 15 * 60)
#: POST /api/public/leads, counted by client IP.
LEADS = Limit("leads", 5, 60 * 60)
#: Every other authenticated endpoint, counted by user.
GENERAL = Limit("requests", 600, 60)
PUBLISHED = {limit.name: limit for limit in (LOGIN, AGENT, LEADS, GENERAL)}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a client stands after a request: requests left, and seconds until the oldest one leaves the window."""

    limit: Limit
    remaining: int
    reset_sec: int
    refused: bool = False

    def headers(self) -> dict[str, str]:
        """``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10 §3, §4)."""
        name = f'"{self.limit.name}"'
        return {
            "RateLimit-Policy": f"{name};q={self.limit.amount};w={self.limit.window_sec}",
            "RateLimit": f"{name};r={self.remaining};t={self.reset_sec}",
        }

    def check(self) -> None:
        """Raises RATE_LIMITED with ``details.retry_after`` in whole seconds when the request was refused."""
        if not self.refused:
            return
        limit, wait = self.limit, self.reset_sec
        raise SivoError(
            "RATE_LIMITED",
            f"more than {limit.amount} requests in {limit.window_sec} s",
            where=limit.name,
            remedy=f"try again in {wait} s",
            details={"retry_after": wait, "limit": limit.amount, "window_sec": limit.window_sec},
        )


@dataclass(slots=True)
class Window:
    """Times (seconds) of the requests that were let through, oldest first."""

    taken: deque[float] = field(default_factory=deque)

    def take(self, limit: Limit, now: float, elsewhere: Sequence[float] = ()) -> Standing:
        """Count one request, unless the window is full; ``elsewhere``: what other processes let through, sorted."""
        start = now - limit.window_sec
        while self.taken and self.taken[0] <= start:
            self.taken.popleft()
        others = elsewhere[bisect_right(elsewhere, start) :]
        count = len(self.taken) + len(others)
        if count >= limit.amount:
            # So many have to leave before there is room for one.
            leaves = sorted([*self.taken, *others])[count - limit.amount]
            return Standing(limit, 0, max(1, math.ceil(leaves + limit.window_sec - now)), True)
        self.taken.append(now)
        oldest = min(self.taken[0], others[0]) if others else self.taken[0]
        return Standing(limit, limit.amount - count - 1, max(1, math.ceil(oldest + limit.window_sec - now)))

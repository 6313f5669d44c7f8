"""The published rate limits of the API: a moving window per caller (library ``limits``).

Counters live in the memory of the ``api`` process. The login limit is checked before any password is hashed.
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from sivo.base.errors import SivoError

#: POST /auth/login, counted by client IP.
LOGIN = parse("5 per 15 minutes")
#: Every other authenticated endpoint, counted by user.
GENERAL = parse("600 per 1 minute")


class Rates:
    """Counts requests and refuses those above a limit."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._window = MovingWindowRateLimiter(self._storage)

    async def take(self, limit: RateLimitItem, name: str, key: str) -> None:
        """Count one request of ``key`` under the limit called ``name``.

        Raises RATE_LIMITED with ``details.retry_after`` in whole seconds when the window is full; a refused
        request is not counted, so the window slides on while a client keeps knocking.
        """
        if await self._window.hit(limit, name, key):
            return
        stats = await self._window.get_window_stats(limit, name, key)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        raise SivoError(
            "RATE_LIMITED",
            f"more than {limit.amount} requests in {limit.get_expiry()} s",
            where=name,
            remedy=f"try again in {wait} s",
            details={"retry_after": wait, "limit": limit.amount, "window_sec": limit.get_expiry()},
        )

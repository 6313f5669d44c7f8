"""The published rate limits of the API: exact moving windows, on the clock that is passed in.

Counters live in the memory of the ``api`` process and cost a few microseconds; a refused request is not counted, so
the window slides on while a client keeps knocking. The login limit is taken before any password is hashed.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass

from sivo.base.clock import Clock
from sivo.base.errors import SivoError

#: Callers that are remembered at once; beyond it the one that has been quiet longest is forgotten.
MAX_KEYS = 100_000


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` requests in any ``window_sec`` seconds; ``name`` is shown to the client."""

    name: str
    amount: int
    window_sec: int


#: POST /auth/login, counted by client IP.
LOGIN = Limit("login", 5, 15 * 60)
#: Every other authenticated endpoint, counted by user.
GENERAL = Limit("requests", 600, 60)


class Rates:
    """Counts requests and refuses those above a limit."""

    def __init__(self, clock: Clock, max_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._taken: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def take(self, limit: Limit, key: str) -> None:
        """Count one request of ``key``. Raises RATE_LIMITED with ``details.retry_after`` in whole seconds."""
        now = self._clock.monotonic()
        times = self._window(limit, key)
        while times and times[0] <= now - limit.window_sec:
            times.popleft()
        if len(times) >= limit.amount:
            raise _refused(limit, max(1, math.ceil(times[0] + limit.window_sec - now)))
        times.append(now)

    def _window(self, limit: Limit, key: str) -> deque[float]:
        found = self._taken.setdefault((limit.name, key), deque())
        self._taken.move_to_end((limit.name, key))
        while len(self._taken) > self._max_keys:
            self._taken.popitem(last=False)
        return found


def _refused(limit: Limit, wait: int) -> SivoError:
    return SivoError(
        "RATE_LIMITED",
        f"more than {limit.amount} requests in {limit.window_sec} s",
        where=limit.name,
        remedy=f"try again in {wait} s",
        details={"retry_after": wait, "limit": limit.amount, "window_sec": limit.window_sec},
    )

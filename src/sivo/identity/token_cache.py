"""Verified tokens, remembered for at most 60 s and forgotten at once when something about them changes.

Checking an RS256 signature costs about 100 µs and the session check a round trip; a hit costs a hash. Keyed by
SHA-256, so that a memory dump holds no usable token.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from sivo.base.clock import Clock
from sivo.identity.access import Caller

MAX_AGE_S = 60.0
CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class _Entry:
    caller: Caller
    until: float  # monotonic seconds


class TokenCache:
    """An LRU of callers by token."""

    def __init__(self, clock: Clock, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        #: Counts what was forgotten: a check that began before it must not be remembered after it.
        self.generation = 0

    def get(self, token: str) -> Caller | None:
        """The caller that ``token`` was verified for, unless it is too long ago."""
        key = _digest(token)
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock.monotonic() >= entry.until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry.caller

    def put(self, token: str, caller: Caller, expires_at: int, generation: int) -> None:
        """Remember ``caller`` for 60 s, never past the token's own expiry (Unix seconds).

        ``generation`` is what :attr:`generation` said before the check began; nothing is remembered when something
        was forgotten meanwhile.
        """
        if generation != self.generation:
            return
        left = expires_at - self._clock.now().timestamp()
        until = self._clock.monotonic() + min(MAX_AGE_S, left)
        self._entries[_digest(token)] = _Entry(caller, until)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Drop everything of one tenant: a role, a user or a session changed there."""
        self.generation += 1
        stale = [key for key, entry in self._entries.items() if entry.caller.tenant_id == tenant_id]
        for key in stale:
            del self._entries[key]

    def clear(self) -> None:
        """Drop everything; a notification may have been missed."""
        self.generation += 1
        self._entries.clear()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

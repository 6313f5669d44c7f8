"""How long to wait before a dead process is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """At once the first time, then doubling; forgiven after a quiet while.

    A media process that was killed must be back within two seconds, so the first restart never waits; one that
    dies at every start must not eat a core.
    """

    first: float = 0.25
    ceiling: float = 10.0
    #: Seconds of life after which an earlier death no longer counts: it came up and worked, so it may come up again.
    forgive_after: float = 5.0
    _next: float = 0.0

    def delay(self, lived_seconds: float) -> float:
        """Seconds to wait before the next start, given how long the process lived."""
        if lived_seconds >= self.forgive_after:
            self._next = 0.0
        wait = self._next
        self._next = min(self.ceiling, max(self.first, self._next * 2))
        return wait

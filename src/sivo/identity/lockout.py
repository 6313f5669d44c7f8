"""Lockout after failed logins, as a pure state machine: waits that grow, and never for the wrong person.

A failure counts twice: against the account from one network (an IPv4 address or an IPv6 /64), and against the account
from everywhere, where it takes :data:`ACCOUNT_FACTOR` times as many. So a stranger who guesses from one place locks
himself out, not the agent at another desk. An attempt is counted as failed *before* the password is hashed and taken
back when it was right: a crowd of simultaneous guesses cannot slip through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=15)
ACCOUNT_FACTOR = 10
#: How long each lock in a row lasts; the last one repeats.
WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
#: Quiet for so long and the next lock is short again.
FORGIVEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Counter:
    """Failures of one account from one network, or from everywhere. ``level`` locks in a row so far."""

    failures: tuple[datetime, ...] = ()
    level: int = 0
    locked_until: datetime | None = None
    updated_at: datetime | None = None

    def wait(self, now: datetime) -> timedelta | None:
        """How long it is still locked; None when it is not."""
        if self.locked_until is None or now >= self.locked_until:
            return None
        return self.locked_until - now


def begin(counter: Counter, limit: int, now: datetime) -> Counter:
    """Count an attempt as failed for now; the ``limit``-th within the window locks. Only when it is not locked."""
    counter = _forgiven(counter, now)
    failures = (*(at for at in counter.failures if at > now - WINDOW), now)
    if len(failures) < limit:
        return replace(counter, failures=failures, updated_at=now)
    wait = WAITS[min(counter.level, len(WAITS) - 1)]
    return Counter((), counter.level + 1, now + wait, now)


def take_back(before: Counter, now_counter: Counter, at: datetime) -> Counter:
    """The attempt begun at ``at`` was right: it is not a failure, and what it locked is open again.

    ``before`` is the counter that :func:`begin` was given. Failures that others added meanwhile stay.
    """
    if now_counter.level > before.level and now_counter.updated_at == at:
        return before
    failures = list(now_counter.failures)
    if at in failures:
        failures.remove(at)
    return replace(now_counter, failures=tuple(failures))


def _forgiven(counter: Counter, now: datetime) -> Counter:
    if counter.updated_at is not None and now - counter.updated_at >= FORGIVEN_AFTER:
        return Counter()
    return counter

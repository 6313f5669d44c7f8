"""Decisions about messages: the ladder, and what an outcome leads to. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Seconds before attempt 2, 3, …; the last one repeats until the message is of no use any more.
LADDER_S = (30, 120, 600, 1800, 3600)
#: Starts without an outcome after which a message is given up: it kills the worker that sends it.
MAX_LOST_STARTS = 5

PENDING, SENT, DEAD = "pending", "sent", "dead"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. ``code`` is the server's reply (RFC 5321 §4.2) if there was one; ``error`` says why not.

    ``final``: the server refused this message or its recipient for good.
    """

    code: int | None = None
    error: str | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a message: its state and, while pending, when it is due again."""

    state: str
    due_at: datetime | None = None
    error: str | None = None


def after(attempts: int, outcome: Outcome, expires_at: datetime, now: datetime) -> Step:
    """The step that follows ``outcome``; ``attempts`` does not count this one yet."""
    if outcome.error is None:
        return Step(SENT)
    if outcome.final:
        return Step(DEAD, error=outcome.error)
    due_at = now + timedelta(seconds=LADDER_S[min(attempts, len(LADDER_S) - 1)])
    if due_at >= expires_at:
        return Step(DEAD, error=f"too late for another attempt; the last one: {outcome.error}")
    return Step(PENDING, due_at, outcome.error)


def keeps_killing(started: int, attempts: int) -> bool:
    """Whether too many claims of a message ended without an outcome (the present one included in ``started``)."""
    return started - attempts > MAX_LOST_STARTS

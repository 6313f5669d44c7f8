"""Decisions about deliveries: the ladder, the signature, what an outcome leads to. No I/O, no clock."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sivo.events.catalogue import WEBHOOK_TEST

#: Seconds before retry 1, 2, … 6; further retries (up to 12 can be set) come at the last interval.
LADDER_S = (5, 30, 120, 600, 3600, 21600)
#: Starts without an outcome after which a delivery is given up: it kills the worker that sends it.
MAX_LOST_STARTS = 5
#: Requests kept in a delivery's log.
LOG_LENGTH = 20

#: An endpoint that took nothing for so long, in at least so many requests, is switched off.
LASTING = timedelta(days=5)
LASTING_FAILURES = 10

PENDING, DELIVERED, DEAD, CANCELLED = "pending", "delivered", "dead", "cancelled"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a delivery has behind it when an attempt is over. ``attempts`` does not count this one yet."""

    attempts: int
    retry_max: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended: an HTTP status, or the error that came instead of one. ``took_ms`` until then."""

    status: int | None
    error: str | None
    took_ms: int

    @property
    def delivered(self) -> bool:
        """Only 2xx counts; a redirect is not followed and is a failure."""
        return self.status is not None and 200 <= self.status < 300

    def entry(self, at: datetime) -> dict[str, Any]:
        """As the delivery's log keeps it."""
        return {"at": at.isoformat(), "status": self.status, "error": self.error, "ms": self.took_ms}


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a delivery: its state and, while pending, when it is due again."""

    state: str
    due_at: datetime | None


def delay_s(retry: int) -> int:
    """Seconds between the failure of request ``retry`` (1 = the first) and the next one."""
    return LADDER_S[min(retry, len(LADDER_S)) - 1]


def after(progress: Progress, outcome: Outcome, now: datetime) -> Step:
    """The step that follows ``outcome``: done, dead, or due again on the ladder."""
    if outcome.delivered:
        return Step(DELIVERED, None)
    failures = progress.attempts + 1
    if failures > progress.retry_max:
        return Step(DEAD, None)
    return Step(PENDING, now + timedelta(seconds=delay_s(failures)))


def keeps_killing(started: int, attempts: int) -> bool:
    """Whether too many claims of a delivery ended without an outcome (the present one included in ``started``)."""
    return started - attempts > MAX_LOST_STARTS


def lasting(failing_since: datetime, failures: int, now: datetime) -> bool:
    """Whether an endpoint has failed without a break for so long that requests to it are only noise."""
    return failures >= LASTING_FAILURES and now - failing_since >= LASTING


def wants(subscribed: Iterable[str], endpoint_id: str, type_: str, data: dict[str, Any]) -> bool:
    """Whether an endpoint gets an event. A test goes to the endpoint it names, whatever that is subscribed to."""
    if type_ == WEBHOOK_TEST:
        return data.get("endpointId") == endpoint_id
    names = set(subscribed)
    return "*" in names or type_ in names


def signature(secret: str, body: bytes, previous: str | None = None) -> str:
    """Value of ``X-Sivo-Signature``: lower-case hex HMAC-SHA256 of the raw body.

    While a secret is being rotated there are two, that of the new one first, as a list in one field (RFC 9110 §5.6.1):
    a receiver takes the request when any of them is right, so it may know the old secret, the new one, or both.
    """
    made = ["sha256=" + hmac.digest(one.encode(), body, "sha256").hex() for one in (secret, previous) if one]
    return ", ".join(made)


def headers(event_id: str, type_: str, secret: str, body: bytes, previous: str | None = None) -> dict[str, str]:
    """The headers of one request; the event id is the same in every attempt."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "SIVO-Webhooks/1",
        "X-Sivo-Event-Id": event_id,
        "X-Sivo-Event-Type": type_,
        "X-Sivo-Signature": signature(secret, body, previous),
    }

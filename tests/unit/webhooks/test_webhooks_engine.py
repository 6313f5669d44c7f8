"""The ladder, the signature and the choice of receivers, without any I/O."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from sivo.webhooks import engine
from sivo.webhooks.engine import Outcome, Progress

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FAILED = Outcome(503, "the endpoint answered 503", 12)


def test_ladder_is_seven_requests_then_dead() -> None:
    at, times = NOW, [NOW]
    for attempts in range(7):
        step = engine.after(Progress(attempts, 6), FAILED, at)
        if step.due_at is None:
            break
        at = step.due_at
        times.append(at)
    assert step.state == "dead"
    assert [(b - a).total_seconds() for a, b in itertools.pairwise(times)] == [5, 30, 120, 600, 3600, 21600]
    assert times[-1] - NOW == timedelta(hours=7, minutes=12, seconds=35)


@pytest.mark.parametrize(("retry_max", "requests"), [(0, 1), (1, 2), (6, 7), (12, 13)])
def test_number_of_requests_follows_the_setting(retry_max: int, requests: int) -> None:
    made = 1
    while engine.after(Progress(made - 1, retry_max), FAILED, NOW).state == "pending":
        made += 1
    assert made == requests


def test_retries_beyond_the_ladder_keep_its_last_interval() -> None:
    assert [engine.delay_s(n) for n in (6, 7, 12)] == [21600, 21600, 21600]


@pytest.mark.parametrize(
    ("status", "delivered"),
    [(200, True), (204, True), (299, True), (301, False), (302, False), (404, False), (500, False)],
)
def test_only_2xx_counts(status: int, delivered: bool) -> None:
    step = engine.after(Progress(0, 6), Outcome(status, None, 1), NOW)
    assert step.state == ("delivered" if delivered else "pending")


def test_signature_is_hmac_sha256_of_the_raw_body() -> None:
    body = b'{"id":"evt_1"}'
    sent = engine.headers("evt_1", "call.ended", "whsec_x", body)
    assert sent["X-Sivo-Signature"] == "sha256=" + hmac.new(b"whsec_x", body, hashlib.sha256).hexdigest()
    assert (sent["X-Sivo-Event-Id"], sent["X-Sivo-Event-Type"]) == ("evt_1", "call.ended")


def test_who_gets_what() -> None:
    assert engine.wants(["*"], "e1", "call.ended", {})
    assert engine.wants(["call.ended", "call.created"], "e1", "call.ended", {})
    assert not engine.wants(["call.created"], "e1", "call.ended", {})
    assert engine.wants(["call.created"], "e1", "webhook.test", {"endpointId": "e1"})
    assert not engine.wants(["*"], "e2", "webhook.test", {"endpointId": "e1"})


def test_a_delivery_that_kills_its_workers_is_seen() -> None:
    assert not engine.keeps_killing(started=7, attempts=6)
    assert not engine.keeps_killing(started=5, attempts=0)
    assert engine.keeps_killing(started=6, attempts=0)

"""The four keys of group "Webhooks", changed over HTTP; the observer is a receiver with the standard library's HMAC.

The worker's sender works on the platform's clock, moved by hand: hours of retries and days of dead letters pass at
once. Only the time-out is real.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.outbound.client import GuardedClient
from sivo.webhooks.sender import Sender
from support.conformance import conformance
from support.conformance_table import Evidence
from support.running_api import RunningApi, running_api
from support.webhook_world import Receiver, receiver

__all__ = ["receiver"]
DAY = 86_400
MINE = "whsec_conformance_" + "k" * 20


@dataclass
class Shop:
    """A tenant with one endpoint, and the sender that serves it."""

    api: RunningApi
    clock: VirtualClock
    sender: Sender
    receiver: Receiver
    tenant: str
    endpoint: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    async def set(self, keys: dict[str, Any], scope: str = "tenant") -> None:
        """A change of keys through the public API."""
        await self.api.ok("PATCH", f"/api/config?scope={scope}", keys, self.tenant)

    async def ring(self) -> None:
        """One event for the endpoint, and the sender's work on it."""
        await self.api.ok("POST", f"/api/webhooks/{self.endpoint}/test", tenant=self.tenant)
        await self.sender.run_once()

    async def states(self) -> list[str]:
        """What the API says of the deliveries, newest first."""
        found = await self.api.ok("GET", "/api/webhook-deliveries", tenant=self.tenant)
        return [one["state"] for one in found["items"]]


@pytest.fixture
async def shop(settings: Settings, database: Database, clock: VirtualClock, receiver: Receiver) -> AsyncIterator[Shop]:
    settings = settings.model_copy(update={"dangerous_outbound_allow": "127.0.0.0/8", "dangerous_outbound_http": True})
    client = GuardedClient.from_settings(settings)
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        sender = Sender(settings, database, api.context.vault, client, clock)
        made = Shop(api, clock, sender, receiver, tenant)
        body = {"name": "shop", "url": receiver.url(), "events": ["call.ended"]}
        made.endpoint = str((await api.ok("POST", "/api/webhooks", body, tenant))["id"])
        await sender.run_once()
        receiver.requests.clear()
        yield made
        await sender.drain()
    await client.close()


@conformance(
    "webhooks.signing_secret", "key of the HMAC in X-Sivo-Signature, per endpoint", "HTTP receiver with hmac/hashlib"
)
async def test_the_secret_that_is_set_signs_the_raw_body(shop: Shop, evidence: Evidence) -> None:
    await shop.set({"webhooks.signing_secret": MINE}, f"endpoint:{shop.endpoint}")
    shop.receiver.requests.clear()
    await shop.ring()
    got = shop.receiver.requests[-1]
    wanted = "sha256=" + hmac.new(MINE.encode(), got.body, hashlib.sha256).hexdigest()
    offered = got.headers["X-Sivo-Signature"]
    assert wanted in offered.replace(" ", ",").split(","), offered
    evidence("webhooks.signing_secret", f"{wanted[:23]}… over {len(got.body)} bytes")


@conformance(
    "webhooks.retry_max_attempts", "retries after a failed first attempt, then dead", "HTTP receiver that answers 500"
)
async def test_so_many_retries_and_no_more(shop: Shop, evidence: Evidence) -> None:
    await shop.set({"webhooks.retry_max_attempts": 2})
    shop.receiver.answer = lambda number: 500
    await shop.ring()
    for seconds in (5, 30, 120, 600):
        shop.clock.advance(seconds)
        await shop.sender.run_once()
    assert len(shop.receiver.requests) == 3, "the first attempt and two retries"
    assert (await shop.states())[0] == "dead"
    evidence("webhooks.retry_max_attempts", "2 set: three requests, then dead")


@conformance("webhooks.timeout_ms", "a slower answer is a failed attempt", "HTTP receiver that answers after 1 s")
async def test_a_slower_answer_is_a_failed_attempt(shop: Shop, evidence: Evidence) -> None:
    await shop.set({"webhooks.timeout_ms": 500})
    shop.receiver.delay_s = 1.0
    await shop.ring()
    await shop.sender.drain()
    assert (await shop.states())[0] == "pending", "it will be tried again"
    await shop.set({"webhooks.timeout_ms": 3000})
    shop.clock.advance(5)
    await shop.sender.run_once()
    await shop.sender.drain()
    assert (await shop.states())[0] == "delivered", "and now there is time enough: the change acts now"
    assert len(shop.receiver.requests) == 2
    evidence("webhooks.timeout_ms", "answer after 1 s: failed at 500 ms, delivered at 3000 ms")


@conformance("webhooks.dlq_retention_days", "how long a dead event is listed and can be replayed", "HTTP client")
async def test_a_dead_event_is_kept_so_many_days(shop: Shop, evidence: Evidence) -> None:
    await shop.set({"webhooks.retry_max_attempts": 0, "webhooks.dlq_retention_days": 4})
    shop.receiver.answer = lambda number: 500
    await shop.ring()
    assert (await shop.states())[0] == "dead"
    shop.clock.advance(4 * DAY - 60)
    await shop.sender.expire()
    assert "dead" in await shop.states()
    shop.clock.advance(120)
    await shop.sender.expire()
    assert "dead" not in await shop.states()
    evidence("webhooks.dlq_retention_days", "4 set: listed after 4 d less a minute, gone a minute after 4 d")

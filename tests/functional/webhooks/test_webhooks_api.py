"""Deliveries through the public API: the dead-letter queue, replay, the tester, and who may do what."""

from __future__ import annotations

from uuid import UUID

import httpx

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.events import outbox
from sivo.outbound.client import GuardedClient
from sivo.webhooks.sender import Sender
from support.running_api import RunningApi, running_api
from support.webhook_world import Receiver

PASSWORD = "a long enough pass phrase"


async def dead_letter(api: RunningApi, sender: Sender, tenant: str) -> dict[str, str]:
    await sender.run_once()
    (row,) = (await api.ok("GET", "/api/webhook-deliveries", tenant=tenant, params={"state": "dead"}))["items"]
    return dict(row)


async def bearer(api: RunningApi, email: str, source: str) -> dict[str, str]:
    answer = await api.login(email, PASSWORD, source)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_dead_letters_are_listed_downloaded_and_replayed(
    settings: Settings, database: Database, receiver: Receiver
) -> None:
    settings = settings.model_copy(update={"dangerous_outbound_allow": "127.0.0.0/8", "dangerous_outbound_http": True})
    client = GuardedClient.from_settings(settings)
    try:
        async with running_api(settings, database) as api:
            sender = Sender(settings, database, api.context.vault, client, api.context.clock)
            tenant, other = await api.tenant("acme"), await api.tenant("umbrella")
            receiver.answer = lambda number: 500
            body = {"url": receiver.url(), "retry_max_attempts": 0}
            endpoint = await api.ok("POST", "/api/webhooks", body, tenant)
            dead = await dead_letter(api, sender, tenant)
            assert (dead["type"], dead["last_status"]) == ("webhook.test", 500)
            assert dead["endpoint_id"] == endpoint["id"]

            assert (await api.ok("GET", "/api/webhook-deliveries", tenant=other))["items"] == []
            path = f"/api/webhook-deliveries/{dead['id']}"
            for what in ("payload", "replay"):
                method = "GET" if what == "payload" else "POST"
                refused = await api.local.request(method, f"{path}/{what}", headers={"X-Tenant-Id": other})
                assert refused.status_code == 404
            assert (await api.ok("GET", f"{path}/payload", tenant=tenant))["id"] == dead["event_id"]

            receiver.answer = lambda number: 200
            await api.ok("POST", f"{path}/replay", tenant=tenant)
            (logged,) = await api.logged(tenant, "webhook.replayed")
            assert logged["resource"]["id"] == dead["id"]
            await sender.run_once()
            assert {one.headers["X-Sivo-Event-Id"] for one in receiver.requests} == {dead["event_id"]}
            assert len(receiver.requests) == 2

            tested = await api.ok("POST", f"/api/webhooks/{endpoint['id']}/test", tenant=tenant)
            await sender.run_once()
            assert receiver.requests[-1].headers["X-Sivo-Event-Id"] == tested["event_id"]
    finally:
        await client.close()


async def test_a_viewer_reads_and_does_not_send(settings: Settings, database: Database) -> None:
    async with running_api(settings, database) as api:
        tenant = await api.tenant("acme")
        await api.user(tenant, "v@example.com", PASSWORD, "viewer")
        await api.user(tenant, "g@example.com", PASSWORD, "agent")
        nothing = "00000000-0000-4000-8000-000000000000"
        viewer, agent = await bearer(api, "v@example.com", "127.3.0.1"), await bearer(api, "g@example.com", "127.3.0.2")

        async def status(method: str, path: str, headers: dict[str, str]) -> int:
            answer: httpx.Response = await api.http.request(method, path, headers=headers)
            return answer.status_code

        assert await status("GET", "/api/webhook-deliveries", viewer) == 200
        assert await status("GET", "/api/webhook-deliveries", agent) == 403
        assert await status("GET", "/api/webhook-deliveries", {}) == 401
        for method, path in (
            ("POST", f"/api/webhook-deliveries/{nothing}/replay"),
            ("GET", f"/api/webhook-deliveries/{nothing}/payload"),
            ("POST", f"/api/webhooks/{nothing}/test"),
        ):
            assert await status(method, path, viewer) == 403, path


async def test_pages_go_through_all_deliveries_once(settings: Settings, database: Database) -> None:
    async with running_api(settings, database) as api:
        tenant = await api.tenant("acme")
        await api.ok("POST", "/api/webhooks", {"url": "https://hooks.example.com/x", "events": ["call.ended"]}, tenant)
        client = GuardedClient()
        sender = Sender(settings, database, api.context.vault, client, api.context.clock)
        async with database.tenant(UUID(tenant)) as connection:
            for _ in range(7):
                await outbox.put(connection, UUID(tenant), "call.ended", {})
        await sender._fan_out(api.context.clock.now())
        await client.close()
        seen: list[str] = []
        cursor: str | None = None
        while True:
            params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
            answer = await api.ok("GET", "/api/webhook-deliveries", tenant=tenant, params=params)
            seen += [row["id"] for row in answer["items"]]
            cursor = answer["next"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 8, "seven events and the test that saving fires"
        refused = await api.local.get(
            "/api/webhook-deliveries", headers={"X-Tenant-Id": tenant}, params={"cursor": "WyJ4Il0"}
        )
        assert refused.status_code == 422

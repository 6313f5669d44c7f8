"""Deliveries over real HTTP and a real database, hours passing on the virtual clock."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any
from uuid import uuid4

import pytest

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config.change import SetKey
from sivo.db.scopes import Database
from sivo.outbound.client import GuardedClient
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault
from sivo.webhooks import deliveries
from sivo.webhooks.sender import MAX_PER_ENDPOINT, Sender
from support.webhook_world import SECRET, Receiver, World


async def rows(world: World, **filters: Any) -> list[dict[str, Any]]:
    async with world.database.tenant(world.tenant) as connection:
        return await deliveries.listing(connection, limit=100, **filters)


async def test_delivered_with_envelope_and_signature(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url(), events=["call.ended"])
    call = str(uuid4())
    event = await world.happen(callId=call, duration_sec=7)
    await world.happen("call.created", callId=call)
    await world.sender.run_once()

    (got,) = receiver.of_type("call.ended")
    assert not receiver.of_type("call.created")
    assert got.headers["X-Sivo-Event-Id"] == event
    assert (
        got.headers["X-Sivo-Signature"] == "sha256=" + hmac.new(SECRET.encode(), got.body, hashlib.sha256).hexdigest()
    )
    document = json.loads(got.body)
    assert list(document) == ["id", "type", "createdAt", "tenantId", "data"]
    assert (document["id"], document["type"]) == (event, "call.ended")
    assert document["tenantId"] == str(world.tenant)
    assert document["data"] == {"callId": call, "duration_sec": 7}
    assert document["createdAt"].endswith("Z") and len(document["createdAt"]) == len("2026-01-01T00:00:00.000Z")
    assert [row["state"] for row in await rows(world, state="delivered")] == ["delivered", "delivered"]


async def test_saving_fires_a_test_event_each_time(world: World, receiver: Receiver) -> None:
    endpoint = await world.endpoint(receiver.url("/one"), events=["call.ended"])
    other = await world.endpoint(receiver.url("/two"), active=False)
    await world.sender.run_once()
    await world.sender.run_once()
    assert [one.path for one in receiver.of_type("webhook.test")] == ["/one"]
    await world.change(endpoint, url=receiver.url("/moved"))
    await world.sender.run_once()
    assert [one.path for one in receiver.of_type("webhook.test")] == ["/one", "/moved"]
    assert str(other) not in json.dumps([json.loads(one.body) for one in receiver.requests])


async def test_seven_requests_then_dead_with_one_id_and_listed(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 500
    await world.endpoint(receiver.url(), events=["call.ended"])
    event = await world.happen(callId=str(uuid4()))
    seconds: list[float] = []
    for step in (0, 5, 30, 120, 600, 3600, 21600, 86400):
        if step:
            world.clock.advance(step - 0.5)
            assert await world.sender.run_once() == 0, "nothing is due before its time"
            world.clock.advance(0.5)
        before = len(receiver.of_type("call.ended"))
        await world.sender.run_once()
        seconds += [world.clock.monotonic()] * (len(receiver.of_type("call.ended")) - before)
    sent = receiver.of_type("call.ended")
    assert seconds == [0, 5, 35, 155, 755, 4355, 25955]
    assert {one.headers["X-Sivo-Event-Id"] for one in sent} == {event}
    assert len({one.body for one in sent}) == 1

    dead = [row for row in await rows(world, state="dead") if row["event_id"] == event]
    assert [(row["attempts"], row["last_status"], len(row["log"])) for row in dead] == [(7, 500, 7)]


async def test_dead_event_is_replayed_with_its_id(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 500
    await world.endpoint(receiver.url(), retry_max_attempts=0)
    event = await world.happen()
    await world.sender.run_once()
    (dead,) = [row for row in await rows(world, state="dead") if row["event_id"] == event]
    receiver.answer = lambda number: 200
    async with world.database.tenant(world.tenant) as connection:
        assert json.loads(await deliveries.payload(connection, dead["id"]))["id"] == event
        await deliveries.replay(connection, dead["id"], world.clock.now())
        with pytest.raises(SivoError, match="no such delivery"):
            await deliveries.replay(connection, dead["id"], world.clock.now())
    await world.sender.run_once()
    assert [one.headers["X-Sivo-Event-Id"] for one in receiver.of_type("call.ended")] == [event, event]
    assert [row["state"] for row in await rows(world) if row["event_id"] == event] == ["delivered"]


async def test_tenant_key_and_endpoint_override_set_the_retries(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 500
    await world.apply(SetKey("webhooks.retry_max_attempts", 1))
    await world.endpoint(receiver.url("/key"), events=["call.ended"])
    await world.endpoint(receiver.url("/own"), events=["call.ended"], retry_max_attempts=3)
    await world.happen()
    for seconds in (0, 5, 30, 120, 600, 3600):
        world.clock.advance(seconds)
        await world.sender.run_once()
    sent = [one.path for one in receiver.of_type("call.ended")]
    assert (sent.count("/key"), sent.count("/own")) == (2, 4)


async def test_retries_are_sealed_when_the_event_is_fanned_out(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 500
    await world.apply(SetKey("webhooks.retry_max_attempts", 1))
    await world.endpoint(receiver.url(), events=["call.ended"])
    await world.happen()
    await world.sender.run_once()
    await world.apply(SetKey("webhooks.retry_max_attempts", 9))
    for seconds in (5, 30, 120):
        world.clock.advance(seconds)
        await world.sender.run_once()
    assert len(receiver.of_type("call.ended")) == 2


async def test_slow_answer_is_a_failed_attempt(world: World, receiver: Receiver) -> None:
    receiver.delay_s = 3.0
    await world.endpoint(receiver.url(), timeout_ms=500, active=True)
    await world.sender.run_once()
    (row,) = await rows(world)
    assert (row["state"], row["attempts"], row["last_status"]) == ("pending", 1, None)
    assert "OUTBOUND_TIMEOUT" in row["last_error"]


async def test_redirect_is_a_failure_and_not_followed(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 302
    await world.endpoint(receiver.url())
    await world.sender.run_once()
    assert [one.path for one in receiver.requests] == ["/hook"]
    (row,) = await rows(world)
    assert (row["state"], row["last_status"]) == ("pending", 302)


async def test_without_the_operators_word_loopback_and_http_are_refused(
    world: World, receiver: Receiver, settings: Settings
) -> None:
    await world.endpoint(receiver.url())
    for allow, allow_http in (("", False), ("127.0.0.0/8", False), ("", True)):
        client = GuardedClient(allow, allow_http)
        try:
            await world.another_sender(client).run_once()
        finally:
            await client.close()
        world.clock.advance(50_000)
    assert receiver.requests == []
    (row,) = await rows(world)
    assert row["attempts"] == 3 and "OUTBOUND_REFUSED" in row["last_error"]


async def test_plain_http_cannot_be_saved_without_the_operators_word(world: World) -> None:
    strict = world.settings.model_copy(update={"dangerous_outbound_http": False})
    world.changes._settings = strict
    with pytest.raises(SivoError, match="https"):
        await world.endpoint("http://hooks.example.com/x")


async def test_worker_killed_in_the_middle_sends_again_with_the_same_id(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url(), events=["call.ended"])
    await world.sender.run_once()
    receiver.requests.clear()
    receiver.arrived.clear()
    event = await world.happen()
    receiver.delay_s = 5.0
    doomed = world.another_sender()
    assert await doomed.step()
    await receiver.arrived.wait()
    for task in list(doomed._running):  # what a kill leaves behind: the request went out, no outcome was written
        task.cancel()
    await asyncio.gather(*doomed._running, return_exceptions=True)
    receiver.delay_s = 0.0
    assert await world.sender.run_once() == 0, "the claim of the dead worker still stands"
    world.clock.advance(41)
    assert await world.sender.run_once() == 1
    assert [one.headers["X-Sivo-Event-Id"] for one in receiver.requests] == [event, event]
    (row,) = [row for row in await rows(world) if row["event_id"] == event]
    assert (row["state"], row["attempts"]) == ("delivered", 1)


async def test_delivery_that_kills_every_worker_ends_in_the_dead_letters(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url(), events=["call.ended"])
    await world.sender.run_once()
    event = await world.happen()
    receiver.delay_s = 5.0
    for _ in range(6):
        doomed = world.another_sender()
        await doomed.step()
        for task in list(doomed._running):
            task.cancel()
        await asyncio.gather(*doomed._running, return_exceptions=True)
        world.clock.advance(41)
    (row,) = [row for row in await rows(world) if row["event_id"] == event]
    assert row["state"] in ("pending", "dead")
    receiver.delay_s = 0.0
    await world.sender.run_once()
    (row,) = [row for row in await rows(world) if row["event_id"] == event]
    assert (row["state"], row["attempts"]) == ("dead", 0)
    assert "died" in row["last_error"]


async def test_many_senders_send_each_delivery_once(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url(), events=["call.ended"])
    await world.sender.run_once()
    events = [await world.happen() for _ in range(25)]
    await asyncio.gather(*(world.another_sender().run_once() for _ in range(3)))
    sent = [one.headers["X-Sivo-Event-Id"] for one in receiver.of_type("call.ended")]
    assert sorted(sent) == sorted(events)


async def test_slow_endpoint_does_not_hold_up_another(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url("/slow"), events=["call.ended"])
    await world.endpoint(receiver.url("/fast"), events=["call.created"])
    await world.sender.run_once()
    receiver.requests.clear()
    receiver.delay_s = 5.0
    for _ in range(40):
        await world.happen("call.ended")
    await world.sender.step()
    await world.happen("call.created")
    for _ in range(100):
        await world.sender.step()
        if receiver.of_type("call.created") and len(receiver.of_type("call.ended")) >= MAX_PER_ENDPOINT:
            break
        await asyncio.sleep(0.02)
    await world.sender.step()
    assert len(receiver.of_type("call.created")) == 1
    assert len(receiver.of_type("call.ended")) == MAX_PER_ENDPOINT


async def test_fresh_worker_with_many_endpoints_due_does_not_starve_itself(
    world: World, receiver: Receiver, app_dsn: str
) -> None:
    for number in range(12):
        await world.endpoint(receiver.url(f"/{number}"), events=["call.ended"])
    await world.sender.run_once()
    receiver.requests.clear()
    event = await world.happen()
    database = await Database.open(app_dsn, max_size=2)
    try:
        cold = Vault(database, FileKek.load(world.settings.kek_file))  # no key is cached: each secret needs a look-up
        await Sender(world.settings, database, cold, world.client, world.clock, node="fresh").run_once()
    finally:
        await database.close()
    assert len(receiver.of_type("call.ended")) == 12
    assert {row["state"] for row in await rows(world) if row["event_id"] == event} == {"delivered"}


async def test_removed_or_disabled_endpoint_gets_nothing_more(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 500
    endpoint = await world.endpoint(receiver.url(), events=["call.ended"])
    await world.happen()
    await world.sender.run_once()
    before = len(receiver.requests)
    await world.change(endpoint, active=False)
    world.clock.advance(10)
    await world.sender.run_once()
    assert len(receiver.requests) == before
    assert {row["state"] for row in await rows(world)} == {"cancelled"}


async def test_dead_events_go_after_their_retention(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 500
    await world.apply(SetKey("webhooks.dlq_retention_days", 2))
    await world.endpoint(receiver.url(), retry_max_attempts=0)
    await world.sender.run_once()
    world.clock.advance(86400 * 2 - 60)
    await world.sender.expire()
    assert len(await rows(world, state="dead")) == 1
    world.clock.advance(120)
    await world.sender.expire()
    assert await rows(world) == []


async def test_no_secret_and_no_text_in_rows_after_delivery(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url())
    await world.happen("transcript.segment", text="a very private sentence")
    await world.sender.run_once()
    shown = json.dumps(await rows(world), default=str)
    assert SECRET not in shown and "private sentence" not in shown
    async with world.database.platform("test: look") as connection:
        assert await connection.fetchval("select count(*) from webhook_delivery where body is not null") == 0

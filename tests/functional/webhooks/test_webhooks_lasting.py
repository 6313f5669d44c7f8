"""Signing secrets that overlap while they are rotated, and endpoints that fail for days."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from sivo.config.change import Scope, SetKey, Update
from sivo.config.key import Level
from sivo.webhooks import deliveries, health
from support.webhook_world import SECRET, Receiver, World

NEW = "whsec_new_0123456789abcdef"
DAY = 24 * 3600


def verifies(secret: str, body: bytes, header: str) -> bool:
    """What a receiver does that knows one secret: any signature of the field may be the right one."""
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(one.strip(), wanted) for one in header.split(","))


async def sent(world: World, receiver: Receiver) -> tuple[bytes, str]:
    await world.happen()
    await world.sender.run_once()
    got = receiver.of_type("call.ended")[-1]
    return got.body, got.headers["X-Sivo-Signature"]


async def dead(world: World) -> list[dict[str, Any]]:
    async with world.database.tenant(world.tenant) as connection:
        rows = await deliveries.listing(connection, limit=100, state="dead")
    return [row for row in rows if row["type"] == "call.ended"]


async def state_of(world: World, endpoint: Any) -> dict[str, Any]:
    async with world.database.tenant(world.tenant) as connection:
        return await health.shown(connection, endpoint)


async def test_two_secrets_are_valid_while_rotating_and_one_afterwards(world: World, receiver: Receiver) -> None:
    endpoint = await world.endpoint(receiver.url(), events=["call.ended"])
    body, header = await sent(world, receiver)
    assert header.count("sha256=") == 1 and verifies(SECRET, body, header)

    scope = Scope(Level.ENDPOINT, str(endpoint))
    await world.apply(SetKey("webhooks.signing_secret", NEW, scope))
    body, header = await sent(world, receiver)
    assert header.count("sha256=") == 2
    assert verifies(NEW, body, header) and verifies(SECRET, body, header) and not verifies("another", body, header)
    assert verifies(NEW, body, header.split(",")[0]), "the new one first"
    await world.apply(Update("webhook_endpoint", endpoint, {"events": ["*"]}))
    await world.apply(SetKey("webhooks.signing_secret", NEW, scope))  # the same again does not end the overlap
    body, header = await sent(world, receiver)
    assert verifies(SECRET, body, header)

    async with world.database.tenant(world.tenant) as connection:
        left = await connection.fetchval(
            "select extract(epoch from previous_until - now()) from secret where previous_until is not null"
        )
        assert DAY - 60 < left <= DAY
        await connection.execute("update secret set previous_until = now() - interval '1 second'")
    body, header = await sent(world, receiver)
    assert header.count("sha256=") == 1
    assert verifies(NEW, body, header) and not verifies(SECRET, body, header)


async def test_a_leaked_secret_is_dropped_at_once_and_a_third_drops_the_first(world: World, receiver: Receiver) -> None:
    endpoint = await world.endpoint(receiver.url(), events=["call.ended"])
    for secret in (NEW, NEW + "-third"):
        await world.change(endpoint, secret=secret)
    body, header = await sent(world, receiver)
    assert [verifies(one, body, header) for one in (SECRET, NEW, NEW + "-third")] == [False, True, True]
    assert await world.vault.drop_previous(world.tenant, f"webhook_endpoint/{endpoint}/secret") is True
    body, header = await sent(world, receiver)
    assert [verifies(one, body, header) for one in (NEW, NEW + "-third")] == [False, True]


async def fail_for(world: World, days: int) -> None:
    """An event every half day."""
    for _ in range(2 * days + 1):
        await world.happen()
        await world.sender.run_once()
        world.clock.advance(DAY / 2)


async def test_an_endpoint_that_fails_for_days_is_switched_off_and_loses_nothing(
    world: World, receiver: Receiver
) -> None:
    receiver.answer = lambda number: 503
    broken = await world.endpoint(receiver.url("/broken"), events=["call.ended"], retry_max_attempts=0)
    await fail_for(world, 4)
    assert (await state_of(world, broken))["state"] == "failing"
    await fail_for(world, 2)
    off = await state_of(world, broken)
    assert off["state"] == "disabled" and "503" in off["reason"]

    requests, waiting = len(receiver.requests), len(await dead(world))
    event = await world.happen()
    await world.sender.run_once()
    assert len([one for one in receiver.requests[requests:] if one.path == "/broken"]) == 0
    (missed,) = [row for row in await dead(world) if row["event_id"] == event]
    assert "switched off since" in missed["last_error"] and len(await dead(world)) == waiting + 1

    # The admin mends it and switches it on; what it missed is replayed.
    receiver.answer = lambda number: 200
    async with world.database.tenant(world.tenant) as connection:
        assert await health.enable(connection, broken) is True
        assert await health.enable(connection, broken) is False
        await deliveries.replay(connection, missed["id"], world.clock.now())
    await world.sender.run_once()
    assert receiver.of_type("call.ended")[-1].headers["X-Sivo-Event-Id"] == event
    assert (await state_of(world, broken))["state"] == "ok"


async def test_switching_off_is_an_event_for_the_others(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 200 if receiver.requests[-1].path == "/watcher" else 500
    await world.endpoint(receiver.url("/watcher"), events=["webhook.disabled"])
    broken = await world.endpoint(receiver.url("/broken"), events=["call.ended"], retry_max_attempts=0)
    await fail_for(world, 6)
    await world.sender.run_once()
    told = receiver.of_type("webhook.disabled")
    assert [one.path for one in told] == ["/watcher"]
    assert str(broken).encode() in told[0].body and b"500" in told[0].body


async def test_saving_a_failed_endpoint_again_switches_it_on(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda number: 500
    broken = await world.endpoint(receiver.url("/broken"), events=["call.ended"], retry_max_attempts=0)
    await fail_for(world, 6)
    assert (await state_of(world, broken))["state"] == "disabled"
    receiver.answer = lambda number: 200
    await world.change(broken, url=receiver.url("/mended"))
    await world.happen()
    await world.sender.run_once()
    assert receiver.of_type("call.ended")[-1].path == "/mended"
    assert (await state_of(world, broken))["state"] == "ok"


async def test_one_success_ends_a_run_of_failures(world: World, receiver: Receiver) -> None:
    failing = {"now": True}
    receiver.answer = lambda number: 500 if failing["now"] else 200
    endpoint = await world.endpoint(receiver.url(), events=["call.ended"], retry_max_attempts=0)
    await fail_for(world, 3)
    failing["now"] = False
    await world.happen()
    await world.sender.run_once()
    failing["now"] = True
    await fail_for(world, 3)
    shown = await state_of(world, endpoint)
    assert shown["state"] == "failing" and shown["failures"] == 2 * 3 + 1

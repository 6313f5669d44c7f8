"""What a tenant may not reach: refused at the socket, said on the call, shown in the trace and in the deliveries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.ai_desk import APOLOGY, CLOSING, GREETING, PITCH, Desk, Places, clip, open_desk
from support.provider_double import Double
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Knocks:
    """A TCP port that takes every connection and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self.port = 0

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        writer.close()

    @classmethod
    @asynccontextmanager
    async def listen(cls) -> AsyncIterator[Knocks]:
        """On a free port of the tier's range that is not on the operator's allow-list."""
        made = cls()
        for port in range(37200, 37300):
            try:
                server = await asyncio.start_server(made._take, "127.0.0.1", port)
            except OSError:
                continue
            made.port = port
            async with server:
                yield made
            return
        raise OSError("no free port")


async def _call(desk: Desk) -> dict[str, Any]:
    """The trace of a call on which the caller says one thing and hears the apology and the goodbye."""
    desk.account.heard = ["where is my order"]
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING], quiet_ms=300)
        await caller.say(clip("en_order_slt"))
        await caller.hung_up()
        assert caller.pitches() == [PITCH[GREETING], PITCH[APOLOGY], PITCH[CLOSING]]
    return await desk.trace(caller.number)


async def test_a_model_on_this_machine_is_refused_at_the_socket(node: Node, double: Double) -> None:
    async with Knocks.listen() as knocks:
        # A literal, a name that leads to it, and the address where clouds keep credentials.
        urls = [
            f"https://127.0.0.1:{knocks.port}/v1",
            f"http://127.0.0.1:{knocks.port}/v1",
            f"https://localhost:{knocks.port}/v1",
            "https://169.254.169.254/v1",
        ]
        desks = [await open_desk(node, double, places=Places(llm=url)) for url in urls]
        traces = await asyncio.gather(*(_call(desk) for desk in desks))
    assert knocks.count == 0
    for url, trace in zip(urls, traces, strict=True):
        faults = {(fault["stage"], fault["cause"]) for fault in trace["faults"]}
        assert faults == {("llm", "guard")}, url
        assert trace["conversations"][0]["reason"] == "provider_failure"
        assert trace["call"]["answered_at"], url


async def test_so_is_a_speech_engine_of_the_tenants_own(node: Node, double: Double) -> None:
    async with Knocks.listen() as knocks:
        desk = await open_desk(node, double, places=Places(stt=f"http://127.0.0.1:{knocks.port}/v1"))
        trace = await _call(desk)
        assert knocks.count == 0
    assert {(fault["stage"], fault["cause"]) for fault in trace["faults"]} == {("stt", "guard")}


async def _tried(desk: Desk, endpoint: str) -> list[dict[str, Any]]:
    """Deliveries to one endpoint once any of them has been tried."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        found = (await desk.api("GET", f"/api/webhook-deliveries?endpoint_id={endpoint}"))["items"]
        tried = [one for one in found if one["attempts"]]
        if tried:
            return tried
        await asyncio.sleep(0.2)
    raise AssertionError(f"no delivery was tried: {found}")


async def test_a_webhook_to_the_metadata_service_is_refused(node: Node, double: Double) -> None:
    desk = await open_desk(node, double)
    async with Knocks.listen() as knocks:
        for url in ("https://169.254.169.254/latest/meta-data", f"https://127.0.0.1:{knocks.port}/hook"):
            endpoint = await desk.api("POST", "/api/webhooks", {"name": "inside", "url": url, "events": ["*"]})
            await desk.api("POST", f"/api/webhooks/{endpoint['id']}/test")
            for delivery in await _tried(desk, endpoint["id"]):
                assert delivery["last_error"].startswith("OUTBOUND_REFUSED"), delivery
                assert (delivery["state"], delivery["last_status"]) == ("pending", None), delivery
        assert knocks.count == 0

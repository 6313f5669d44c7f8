"""A tenant with one person behind one DID, and whole calls between a caller and that person, who speak in tones.

The simulated recogniser has a table of the tones, so that every word of every leg can be asked for exactly once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sivo.simulators.script import Account, Script, SttScript
from support.raw_phone import RawPhone
from support.rtp_phone import RtpPhone
from support.running_node import CARRIER, Node
from support.tones import table
from support.vendor_world import Vendors

HEARD = table("where is my order it left you yesterday thanks bye")
CALLER, PERSON = "where is my order thanks", "it left you yesterday bye"
_serials = itertools.count(1)


@dataclass
class Team:
    """One tenant with one person behind one DID."""

    node: Node
    tenant_id: str
    number: str
    person: RawPhone
    ear: RtpPhone
    account: Account
    did_id: str

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the public API for this tenant."""
        return await self.node.client.call(method, path, body, self.tenant_id)

    async def change(self, keys: dict[str, Any]) -> None:
        """Set keys, and wait until calls that start now see them."""
        await self.api("PATCH", "/api/config", keys)
        await asyncio.sleep(1.5)

    def opened(self, protocol: str, *names: str) -> list[tuple[Any, ...]]:
        """Streams that the vendor saw, each with these parameters."""
        entries = self.account.entries(protocol, "open")
        return sorted(tuple(entry.data["query"].get(name) for name in names) for entry in entries)


@asynccontextmanager
async def team(node: Node, vendors: Vendors, keys: dict[str, Any], **did: Any) -> AsyncIterator[Team]:
    """Make it through the API; the person's phone is registered and answers at once."""
    serial = next(_serials)
    call = node.client.call
    tenant = await call("POST", "/api/tenants", {"slug": f"team{serial}", "name": f"Team {serial}", "plan": "pro"})
    tenant_id = str(tenant["id"])

    async def make(plural: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(await call("POST", f"/api/{plural}", body, tenant_id))

    key = f"people-{serial}"
    account = vendors.world.make(key, Script(stt=SttScript(tones=HEARD)))
    secret = {"value": key, "base_url": vendors.url, "host": "127.0.0.1"}
    await call("PUT", "/api/secrets/transcription_api_key", secret, tenant_id)
    await call("PATCH", "/api/config", {"tenant.default_locale": "en"} | keys, tenant_id)
    extension = await make("extensions", {"number": "1001", "name": "Ana"})
    trunk = await make("trunks", {"name": "carrier", "cidrs": [f"{CARRIER}/32"]})
    number = f"+349200{10_000 + serial}"
    target = {"kind": "extension", "id": extension["id"]}
    made = await make("dids", {"number": number, "trunk": trunk["id"], "target": target} | did)
    config = await call("GET", "/api/config", None, tenant_id)
    host, _, port = node.proxy.partition(":")
    person = await RawPhone.open("1001", str(config["tenant.sip_domain"]), extension["sip_password"], (host, int(port)))
    ear = await RtpPhone.open()
    person.rtp_port, person.auto_answer = ear.port, 200
    await asyncio.sleep(1.5)  # until the new extension is known everywhere
    try:
        assert (await person.register()).status == 200
        yield Team(node, tenant_id, number, person, ear, account, str(made["id"]))
    finally:
        person.close()
        await ear.close()


async def talk(
    one: Team,
    caller_says: bytes,
    person_says: bytes,
    *,
    quiet_ms: int = 1200,
    between: Callable[[], Awaitable[Any]] | None = None,
) -> dict[str, Any]:
    """A whole call: the caller speaks, ``between`` happens, the person speaks; the trace once it has ended."""
    host, _, port = one.node.proxy.partition(":")
    number = f"+3461000{1_000 + next(_serials)}"
    sip = await RawPhone.open(number, "carrier.example.com", "", (host, int(port)), CARRIER)
    rtp = await RtpPhone.open(CARRIER)
    mark = len(one.person.inbox)
    try:
        answer = await sip.invite(one.number, rtp.port, auth=False)
        assert answer.status == 200, answer.first_line
        invite = await one.person.wait("INVITE", 5, after=mark)
        rtp.call(host, answer.rtp_port)
        one.ear.call(host, invite.rtp_port)
        rtp.start()
        one.ear.start()
        for phone, audio in ((rtp, caller_says), (one.ear, person_says)):
            await asyncio.sleep(0.5)
            phone.play(audio)
            while phone.playing_ms:
                await asyncio.sleep(0.02)
            if between is not None and phone is rtp:
                await between()
        await asyncio.sleep(quiet_ms / 1000)
        await sip.bye()
        one.ear.stop()
    finally:
        await rtp.close()
        sip.close()
    return await _trace(one, number)


async def _trace(one: Team, number: str) -> dict[str, Any]:
    for _ in range(75):
        calls = (await one.api("GET", "/api/calls"))["items"]
        found = next((call for call in calls if call["from_number"] == number and call["state"] == "ended"), None)
        if found is not None:
            await asyncio.sleep(0.5)  # the last facts
            return dict(await one.api("GET", f"/api/calls/{found['id']}/trace"))
        await asyncio.sleep(0.2)
    raise AssertionError("the call did not end")


async def words(one: Team, trace: dict[str, Any], *speakers: str) -> dict[str, str]:
    """What each speaker said."""
    transcript = await one.api("GET", f"/api/calls/{trace['call']['id']}/transcript")
    assert {segment["speaker"] for segment in transcript} <= set(speakers), transcript
    return {
        speaker: " ".join(segment["text"] for segment in transcript if segment["speaker"] == speaker)
        for speaker in speakers
    }

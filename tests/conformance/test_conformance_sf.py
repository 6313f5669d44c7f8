"""Group "Salesforce" and ``transcription.push_to_sf``: their schema, until the room that talks to Salesforce is there.

Changed and read over HTTP; the observer is the HTTP client and the JSON Schema that the API publishes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.conformance import conformance
from support.conformance_table import Evidence
from support.running_api import RunningApi, running_api

KEYPAIR = "0198c5a0-0000-7000-8000-0000000000bb"


class Desk:
    """A tenant over HTTP."""

    def __init__(self, api: RunningApi, tenant: str) -> None:
        self.api, self.tenant = api, tenant

    async def patch(self, keys: dict[str, Any], query: str = "") -> tuple[int, Any]:
        """Status and body."""
        headers = {"X-Tenant-Id": self.tenant}
        answer = await self.api.local.patch(f"/api/config{query}", json=keys, headers=headers)
        return answer.status_code, answer.json()

    async def shown(self, key: str) -> Any:
        """What GET /api/config shows."""
        return (await self.api.ok("GET", "/api/config", tenant=self.tenant))[key]

    async def takes(self, key: str, good: Any, bad: Any, query: str = "") -> None:
        """``good`` is stored and shown, ``bad`` refused with the key's name."""
        status, body = await self.patch({key: bad}, query)
        assert (status, body["where"]) == (422, key), body
        status, body = await self.patch({key: good}, query)
        assert status == 200, body
        assert await self.shown(key) == good

    async def is_a_view(self, key: str) -> None:
        """Nobody writes it."""
        status, body = await self.patch({key: [{"org_id": "00D000000000001"}]})
        assert (status, body["where"]) in ((422, key), (403, key)), body
        assert await self.shown(key) == []


@pytest.fixture
async def desk(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[Desk]:
    async with running_api(settings, database, clock) as api:
        yield Desk(api, await api.tenant("acme"))


@conformance("sf.connected_orgs", "read-only view of completed connections", "HTTP client")
@conformance("sf.user_mappings", "read-only view of the mapping table", "HTTP client")
@conformance("sf.jwt_keypair_id", "'global' or the id of a key pair, per org", "HTTP client")
@conformance("sf.scrt_base_url", "an absolute URL, per org", "HTTP client")
@conformance("sf.push_transcripts", "a switch, per org", "HTTP client")
@conformance("sf.message_provider_name", "visible ASCII 1-80, changed only with a confirmation", "HTTP client")
async def test_schema_of_salesforce_keys(desk: Desk, evidence: Evidence) -> None:
    await desk.is_a_view("sf.connected_orgs")
    await desk.is_a_view("sf.user_mappings")
    await desk.takes("sf.jwt_keypair_id", KEYPAIR, "mine")
    await desk.takes("sf.scrt_base_url", "https://mine.my.salesforce-scrt.com", "ftp://x")
    await desk.takes("sf.push_transcripts", True, "yes")
    name = "sf.message_provider_name"
    status, body = await desk.patch({name: "acme-voice"})
    assert (status, body["code"]) == (409, "CONFIRMATION_REQUIRED") and "Salesforce admin" in body["detail"], body
    await desk.takes(name, "acme-voice", "x" * 81, f"?confirm={name}")
    for key in ("sf.connected_orgs", "sf.user_mappings"):
        evidence(key, "write refused, [] shown")
    evidence("sf.jwt_keypair_id", f"'mine' refused, {KEYPAIR} shown")
    evidence("sf.scrt_base_url", "ftp refused, https shown")
    evidence("sf.push_transcripts", "'yes' refused, true shown")
    evidence(name, "refused without ?confirm, 81 characters refused, acme-voice shown")


@conformance("transcription.push_to_sf", "refused with a clear error while no org is connected", "HTTP client")
async def test_push_needs_an_org(desk: Desk, evidence: Evidence) -> None:
    status, body = await desk.patch({"transcription.push_to_sf": True})
    assert (status, body["code"], body["where"]) == (422, "CONFIG_RULE_BROKEN", "transcription.push_to_sf"), body
    assert "no" in body["detail"] and "connect an org" in body["remedy"]
    assert await desk.shown("transcription.push_to_sf") is False
    evidence("transcription.push_to_sf", f"422: {body['detail']}")

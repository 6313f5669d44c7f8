"""The whole API under generated requests, as every role and as nobody: ``SIVO_API_EXAMPLES=200 make test-long``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity.access import Role
from support import whole_api
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EXAMPLES = int(os.environ.get("SIVO_API_EXAMPLES", "25"))


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role.value if role else "nobody")
async def test_every_role_on_everything(api: RunningApi, role: Role | None) -> None:
    tenant = await api.tenant("acme")
    headers = {}
    if role is not None:
        await api.user(tenant, "who@acme.example", PASSWORD, role=role.value)
        token = (await api.login("who@acme.example", PASSWORD, source="127.0.6.9")).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        if role is Role.SUPERADMIN:
            headers["X-Tenant-Id"] = tenant
    limit = {"subject": "platform", "amount": 1_000_000, "reason": "generated requests"}
    await api.ok("PUT", "/api/limits/requests", limit)
    document = (await api.http.get("/api/openapi.json")).json()
    seen = whole_api.Seen()

    def run() -> None:
        for number, operation in enumerate(whole_api.operations(document)):
            whole_api.fuzz(operation, api.url, headers, EXAMPLES, number, seen)

    await asyncio.to_thread(run)
    assert not seen.faults, "\n".join(seen.faults)
    unknown = sum(seen.unknown.values())
    assert role is None or unknown < sum(seen.requests.values()) / 4, f"nobody asked: {seen.unknown}"
    assert not list(whole_api.missing(seen, document))

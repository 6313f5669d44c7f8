"""A sample of the whole API under generated requests, every role in turn; `make test-long` tries each on all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity.access import Role
from support import whole_api
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EXAMPLES = 2
#: Starts work of minutes; the long tier has it.
LEFT_OUT = {("POST", "/api/audit/isolation")}


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


async def test_a_sample_of_everything_gets_no_5xx_and_no_undocumented_status(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    tokens = []
    for number, role in enumerate(Role, start=1):
        await api.user(tenant, f"{role}@acme.example", PASSWORD, role=role.value)
        answer = await api.login(f"{role}@acme.example", PASSWORD, source=f"127.0.6.{number}")
        tokens.append(answer.json()["access_token"])
    document = (await api.http.get("/api/openapi.json")).json()
    seen = whole_api.Seen()

    def run() -> None:
        for number, operation in enumerate(whole_api.operations(document)):
            if (operation.method.upper(), operation.path) not in LEFT_OUT:
                headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}"}
                whole_api.fuzz(operation, api.url, headers, EXAMPLES, number, seen)

    await asyncio.to_thread(run)
    assert not seen.faults, "\n".join(seen.faults)
    assert sum(seen.unknown.values()) < sum(seen.requests.values()) / 4, f"nobody asked: {seen.unknown}"
    assert set(whole_api.missing(seen, document)) == {f"{method} {path}" for method, path in LEFT_OUT}

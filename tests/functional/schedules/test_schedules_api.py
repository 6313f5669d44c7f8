"""What happens at …? Over the API and on the command line; who may set limits; what history knows of schedules."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.ground import Server, shared_api
from support.running_api import RunningApi

pytestmark = pytest.mark.asyncio(loop_scope="module")
OFFICE = {
    "name": "Office",
    "timezone": "Atlantic/Canary",
    "hours": {day: {"open": "09:00", "close": "18:00"} for day in ("mon", "tue", "wed", "thu", "fri")},
    "holidays": ["2026-12-25", "2026-12-08"],
    "exceptions": [{"date": "2026-12-24", "hours": {"open": "09:00", "close": "14:00"}, "note": "Eve"}],
}


@dataclass
class Acme:
    """A tenant with an office, and a number that the office's hours decide about; ``other`` is another tenant."""

    api: RunningApi
    id: str
    other: str
    office: dict[str, Any]
    did: dict[str, Any]

    async def make(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(await self.api.ok("POST", f"/api/{plural}", body, self.id))

    async def get(self, path: str) -> dict[str, Any]:
        return dict(await self.api.ok("GET", path, tenant=self.id))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(pg: Server) -> AsyncIterator[Acme]:
    async with shared_api(pg) as api:
        made = Acme(api, await api.tenant("acme"), await api.tenant("globex"), {}, {})
        made.office = await made.make("schedules", OFFICE)
        one, two = [await made.make("extensions", {"number": number}) for number in ("100", "101")]
        group = await made.make("ring-groups", {"name": "Sales", "extensions": [one["id"], two["id"]]})
        target = {
            "kind": "schedule",
            "id": made.office["id"],
            "open": {"kind": "ring_group", "id": group["id"]},
            "out_of_hours": {"kind": "extension", "id": two["id"]},
        }
        made.did = await made.make("dids", {"number": "+34910000100", "target": target})
        assert made.did["target"] == target
        yield made


async def test_a_schedule_says_whether_it_is_open_at_a_time_and_until_when(acme: Acme) -> None:
    assert acme.office["holidays"] == ["2026-12-08", "2026-12-25"]
    path = f"/api/schedules/{acme.office['id']}/at"
    eve = await acme.get(f"{path}?time=2026-12-24T13:30")
    assert (eve["open"], eve["rule"], eve["timezone"]) == (True, "exception", "Atlantic/Canary")
    assert (eve["time"], eve["until"]) == ("2026-12-24T13:30:00+00:00", "2026-12-24T14:00:00+00:00")
    christmas = await acme.get(f"{path}?time=2026-12-25T12:00:00Z")
    assert (christmas["open"], christmas["rule"]) == (False, "holiday")
    assert christmas["until"] == "2026-12-28T09:00:00+00:00"  # the Monday after
    assert (await acme.get(path))["time"]
    wrong = await acme.api.local.get(f"{path}?time=soon", headers={"X-Tenant-Id": acme.id})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "VALIDATION_FAILED")
    foreign = await acme.api.local.get(path, headers={"X-Tenant-Id": acme.other})
    assert foreign.status_code == 404


async def test_a_number_says_who_answers_it_at_a_time(acme: Acme) -> None:
    """By the tenant's clock, an hour ahead of the office's."""
    path = f"/api/dids/{acme.did['id']}/at"
    late = await acme.get(f"{path}?time=2026-06-01T09:30")
    assert (late["target"]["kind"], late["target"]["number"]) == ("extension", "101")
    early = await acme.get(f"{path}?time=2026-06-01T10:30")
    assert early["target"]["extensions"] == ["100", "101"] and early["schedules"][0]["rule"] == "weekly"
    assert (await acme.api.local.get(path, headers={"X-Tenant-Id": acme.other})).status_code == 404


async def test_commands_say_the_same(acme: Acme) -> None:
    home = acme.api.context.settings.home
    printed = await sivo(home, "did", "at", acme.did["id"], "2026-12-25T12:00", "-t", "acme")
    assert printed["target"]["number"] == "101" and "a holiday" in printed["reason"]
    printed = await sivo(home, "schedule", "at", acme.office["id"], "2026-12-24T14:00", "-t", "acme")
    assert printed["open"] is False


async def test_the_fuse_is_the_operators_and_the_tenants_admin_reads_it(acme: Acme) -> None:
    api = acme.api
    await acme.make("carrier-limits", {"calls_per_minute": 5, "calls_at_a_time": 2})
    await api.user(acme.id, "ana@acme.example", "correct horse battery")
    token = (await api.login("ana@acme.example", "correct horse battery")).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    limits = await api.http.get("/api/carrier-limits", headers=bearer)
    assert [row["calls_per_minute"] for row in limits.json()["items"]] == [5]
    mine = f"/api/carrier-limits/{limits.json()['items'][0]['id']}"
    merge = bearer | {"Content-Type": "application/merge-patch+json"}
    refused = await api.http.patch(mine, content='{"calls_per_minute": 500}', headers=merge)
    assert (refused.status_code, refused.json()["code"]) == (403, "INSUFFICIENT_ROLE")


async def sivo(home: Path, *arguments: str) -> dict[str, Any]:
    """What a command printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sivo.cli.main", *arguments),
        env={**os.environ, "SIVO_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err
    return dict(json.loads(out))

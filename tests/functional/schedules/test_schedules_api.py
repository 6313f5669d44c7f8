"""What happens at …? Over the API and on the command line; who may set limits; what history knows of schedules."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import running_api

OFFICE = {day: {"open": "09:00", "close": "18:00"} for day in ("mon", "tue", "wed", "thu", "fri")}


async def test_schedules_and_dids_say_what_happens_at_a_time(settings: Settings, database: Database) -> None:
    async with running_api(settings, database) as api:
        tenant, other = await api.tenant("acme"), await api.tenant("globex")

        async def make(plural: str, body: dict[str, Any]) -> dict[str, Any]:
            return dict(await api.ok("POST", f"/api/{plural}", body, tenant))

        office = await make(
            "schedules",
            {
                "name": "Office",
                "timezone": "Atlantic/Canary",
                "hours": OFFICE,
                "holidays": ["2026-12-25", "2026-12-08"],
                "exceptions": [{"date": "2026-12-24", "hours": {"open": "09:00", "close": "14:00"}, "note": "Eve"}],
            },
        )
        assert office["holidays"] == ["2026-12-08", "2026-12-25"]
        one = await make("extensions", {"number": "100"})
        two = await make("extensions", {"number": "101"})
        group = await make("ring-groups", {"name": "Sales", "extensions": [one["id"], two["id"]]})
        target = {
            "kind": "schedule",
            "id": office["id"],
            "open": {"kind": "ring_group", "id": group["id"]},
            "out_of_hours": {"kind": "extension", "id": two["id"]},
        }
        did = await make("dids", {"number": "+34910000100", "target": target})
        assert did["target"] == target

        path = f"/api/schedules/{office['id']}/at"
        eve = await api.ok("GET", f"{path}?time=2026-12-24T13:30", tenant=tenant)
        assert (eve["open"], eve["rule"], eve["timezone"]) == (True, "exception", "Atlantic/Canary")
        assert (eve["time"], eve["until"]) == ("2026-12-24T13:30:00+00:00", "2026-12-24T14:00:00+00:00")
        christmas = await api.ok("GET", f"{path}?time=2026-12-25T12:00:00Z", tenant=tenant)
        assert (christmas["open"], christmas["rule"]) == (False, "holiday")
        assert christmas["until"] == "2026-12-28T09:00:00+00:00"  # the Monday after
        assert (await api.ok("GET", path, tenant=tenant))["time"]
        wrong = await api.local.get(f"{path}?time=soon", headers={"X-Tenant-Id": tenant})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "VALIDATION_FAILED")
        foreign = await api.local.get(path, headers={"X-Tenant-Id": other})
        assert foreign.status_code == 404

        # By the tenant's clock, an hour ahead of the office's.
        at = f"/api/dids/{did['id']}/at?time="
        late = await api.ok("GET", f"{at}2026-06-01T09:30", tenant=tenant)
        assert (late["target"]["kind"], late["target"]["number"]) == ("extension", "101")
        early = await api.ok("GET", f"{at}2026-06-01T10:30", tenant=tenant)
        assert early["target"]["extensions"] == ["100", "101"] and early["schedules"][0]["rule"] == "weekly"
        assert (await api.local.get(f"/api/dids/{did['id']}/at", headers={"X-Tenant-Id": other})).status_code == 404

        printed = await sivo(settings, "did", "at", did["id"], "2026-12-25T12:00", "-t", "acme")
        assert printed["target"]["number"] == "101" and "a holiday" in printed["reason"]
        printed = await sivo(settings, "schedule", "at", office["id"], "2026-12-24T14:00", "-t", "acme")
        assert printed["open"] is False

        # The fuse is the operator's; the tenant's own admin reads it.
        await make("carrier-limits", {"calls_per_minute": 5, "calls_at_a_time": 2})
        await api.user(tenant, "ana@acme.example", "correct horse battery")
        token = (await api.login("ana@acme.example", "correct horse battery")).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        limits = await api.http.get("/api/carrier-limits", headers=bearer)
        assert [row["calls_per_minute"] for row in limits.json()["items"]] == [5]
        mine = f"/api/carrier-limits/{limits.json()['items'][0]['id']}"
        merge = bearer | {"Content-Type": "application/merge-patch+json"}
        refused = await api.http.patch(mine, content='{"calls_per_minute": 500}', headers=merge)
        assert (refused.status_code, refused.json()["code"]) == (403, "INSUFFICIENT_ROLE")


async def sivo(settings: Settings, *arguments: str) -> dict[str, Any]:
    """What a command printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sivo.cli.main", *arguments),
        env={**os.environ, "SIVO_HOME": str(settings.home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err
    return dict(json.loads(out))

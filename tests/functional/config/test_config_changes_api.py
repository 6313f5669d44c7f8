"""``/api/changes`` and ``sivo change``: two administrators, an API key, and the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"


@dataclass
class Desk:
    """A running API, one tenant, and its administrators' tokens."""

    api: RunningApi
    tenant: str
    tokens: dict[str, str]

    async def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.tokens[who]}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return await self.api.http.request(method, path, json=body, headers=sent)

    async def ok(self, who: str, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = await self.call(who, method, path, body, **headers)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


@pytest.fixture
async def desk(settings: Settings, database: Database) -> AsyncIterator[Desk]:
    clock = VirtualClock()
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        await api.ok("PATCH", "/api/config", {"auth.mfa_required_roles": ["superadmin"]}, tenant)
        tokens = {}
        for number, name in enumerate(("ana", "bea"), 2):
            await api.user(tenant, f"{name}@acme.example", PASSWORD)
            answer = await api.login(f"{name}@acme.example", PASSWORD, f"127.0.0.{number}")
            tokens[name] = answer.json()["access_token"]
        key = {"name": "ci", "role": "admin", "scopes": ["config:apply", "resources:write"]}
        found = Desk(api, tenant, tokens)
        tokens["key"] = (await found.ok("ana", "POST", "/api/api-keys", key, 201))["key"]
        yield found


def clock_of(desk: Desk) -> VirtualClock:
    clock = desk.api.context.clock
    assert isinstance(clock, VirtualClock)
    return clock


async def test_four_eyes_over_the_api(desk: Desk) -> None:
    await desk.ok("ana", "POST", "/api/change-control", {"approval_required": True}, 201)
    patched = await desk.call("ana", "PATCH", "/api/config", {"ai.max_turns": 7}, X_Change_Reason="too%20long")
    change = patched.json()["change"]
    assert (patched.status_code, change["state"], change["reason"]) == (202, "pending", "too long")
    assert patched.headers["location"] == f"/api/changes/{change['id']}"
    assert change["changes"][0]["key"] == "ai.max_turns"
    for method, path, body in (
        ("POST", "/api/extensions", {"number": "1001"}),
        ("PUT", "/api/secrets/stt_api_key", {"value": "canary-77f1-secret"}),
        ("POST", "/api/config/rollback", {"to": 2}),
        ("DELETE", f"/api/change-control/{await control_id(desk)}", None),
    ):
        answer = await desk.call("ana", method, path, body)
        assert answer.status_code == 202 and "canary" not in answer.text, (path, answer.text)
    assert (await desk.ok("ana", "GET", "/api/extensions"))["items"] == []
    listed = (await desk.ok("bea", "GET", "/api/changes"))["items"]
    assert len(listed) == 5 and listed[-1]["id"] == change["id"]

    path = f"/api/changes/{change['id']}"
    refused = await desk.call("ana", "POST", f"{path}/approve", {})
    assert (refused.status_code, refused.json()["code"]) == (403, "SELF_APPROVAL")
    closed = await desk.call("key", "POST", f"{path}/approve", {})
    assert (closed.status_code, closed.json()["code"]) == (403, "API_KEY_CLOSED")
    by_key = await desk.call("key", "PATCH", "/api/config", {"ai.speech_min_ms": 500})
    assert by_key.status_code == 202
    refused = await desk.call("ana", "POST", f"/api/changes/{by_key.json()['change']['id']}/approve", {})
    assert refused.json()["code"] == "SELF_APPROVAL", "it is her key"

    done = await desk.ok("bea", "POST", f"{path}/approve", {"digest": change["digest"], "reason": "fine"})
    assert (done["change"]["state"], done["entry"]["version"]) == ("applied", done["change"]["version"])
    entry = (await desk.ok("ana", "GET", "/api/config/history?key=ai.max_turns"))["items"][0]
    assert entry["author"] != done["change"]["decided_by"] == entry["change"]["approved_by"]
    rejected = await desk.ok("bea", "POST", f"/api/changes/{listed[0]['id']}/reject", {"reason": "keep it"})
    assert rejected["change"]["state"] == "rejected"
    broken = {"patch": {"ai.max_turns": 9}, "break_glass": True, "reason": "on fire"}
    assert (await desk.ok("ana", "POST", "/api/changes", broken))["entry"]["changed"] is True
    marks = (await desk.ok("bea", "GET", "/api/changes?state=applied"))["items"]
    assert [one["break_glass"] for one in marks] == [True, False]
    assert (await desk.ok("bea", "GET", "/api/config"))["ai.max_turns"] == 9


async def control_id(desk: Desk) -> str:
    return str((await desk.ok("ana", "GET", "/api/change-control"))["items"][0]["id"])


async def test_a_change_is_scheduled_in_the_tenants_time(desk: Desk) -> None:
    clock = clock_of(desk)
    at = (clock.now() + timedelta(days=200)).replace(hour=8, minute=0, second=0, microsecond=0, tzinfo=None)
    body = {"patch": {"ai.max_turns": 7}, "apply_at": at.isoformat(), "reason": "season"}
    answer = await desk.call("ana", "POST", "/api/changes", body)
    change = answer.json()["change"]
    assert answer.status_code == 202 and change["state"] == "scheduled"
    local = at.replace(tzinfo=ZoneInfo("Europe/Madrid"))
    assert change["apply_at"] == local.astimezone(UTC).isoformat()
    document = {
        "changes": [
            {"do": "create", "kind": "ai_agent", "body": {"name": "Ada"}},
            {"do": "set", "key": "ai.max_duration_sec", "value": 60},
        ],
        "apply_at": "2999-01-01T00:00:00Z",
    }
    for wrong, where in (
        (document, "apply_at is too far ahead"),
        ({**body, "apply_at": "2001-01-01T00:00:00Z"}, "apply_at is in the past"),
        ({**body, "break_glass": True}, "broken now or not at all"),
        ({"apply_at": at.isoformat()}, "send one of patch"),
        ({"patch": {"ai.max_turns": 900}}, "ai.max_turns"),
        ({"patch": {"ai.max_turns": 20, "ai.nothing": 1}}, "ai.nothing"),
        ({"changes": [{"do": "set", "key": "sf.message_provider_name", "value": "x"}]}, "sf.message_provider_name"),
        ({"changes": [{"do": "burn"}]}, "do"),
    ):
        answer = await desk.call("ana", "POST", "/api/changes", wrong)
        assert 400 <= answer.status_code < 500 and where in answer.text, (wrong, answer.text)
    made = await desk.ok("ana", "POST", "/api/changes", {"changes": document["changes"]})
    assert made["entry"]["changed"] is True, "without a time it is a change-set like any other"
    clock.advance(201 * 86_400.0)
    assert await desk.api.context.resources.proposals.step()
    found = await desk.api.ok("GET", f"/api/changes/{change['id']}", tenant=desk.tenant)
    assert found["state"] == "applied"


async def test_the_command_line_schedules_shows_and_decides(desk: Desk, settings: Settings) -> None:
    def sivo(*words: str, status: int = 0) -> str:
        environment = {**os.environ, "SIVO_HOME": str(settings.home), "SIVO_TENANT": "acme"}
        command = [sys.executable, "-m", "sivo.cli.main", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    async def run(*words: str, status: int = 0) -> str:
        return await asyncio.to_thread(sivo, *words, status=status)

    at = f"{clock_of(desk).now().year + 1}-06-01T08:00"
    assert "is scheduled for" in await run("config", "set", "ai.max_turns", "7", "--at", at, "--reason", "season")
    listed = json.loads(await run("change", "list", "--json"))
    assert [one["state"] for one in listed] == ["scheduled"] and listed[0]["apply_at"].endswith("06:00:00+00:00")
    shown = await run("change", "show", listed[0]["id"])
    assert '"season"' in shown and "ai.max_turns: - -> 7" in shown
    await desk.ok("ana", "POST", "/api/change-control", {"approval_required": True}, 201)
    waits = await run("config", "unset", "ai.speech_min_ms", "--break-glass", status=1)
    assert "CHANGE_REASON_REQUIRED" in waits
    assert "waits for somebody's approval" in await run("config", "set", "ai.max_turns", "8", status=5)
    waiting = (await desk.ok("bea", "GET", "/api/changes?state=pending"))["items"][0]["id"]
    assert "SELF_APPROVAL" in await run("change", "approve", waiting, status=1)


async def test_412_says_what_changed_meanwhile(desk: Desk) -> None:
    made = await desk.call("ana", "POST", "/api/extensions", {"number": "1001"})
    path, tag = f"/api/extensions/{made.json()['id']}", made.headers["etag"]
    await desk.ok("bea", "PATCH", path, {"name": "Front desk"}, if_match=tag)
    for method, body in (("PATCH", {"name": "Reception"}), ("DELETE", None)):
        answer = await desk.call("ana", method, path, body, if_match=tag)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (412, "VERSION_CONFLICT")
        meanwhile = problem["details"]["meanwhile"]
        assert [one["changes"][0]["after"]["body"]["name"] for one in meanwhile] == ["Front desk"]
        assert meanwhile[0]["author"].startswith("user:")

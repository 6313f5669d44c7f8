"""History, diff, rollback, export, import and apply on a real database, through the public API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass
class Desk:
    """An operator's requests about one tenant."""

    api: RunningApi
    tenant: str

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return await self.api.ok(method, path, body, self.tenant, headers=headers)

    async def raw(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"X-Tenant-Id": self.tenant, **headers}
        return await self.api.local.request(method, path, json=body, headers=sent)

    async def set(self, **keys: Any) -> None:
        await self.ok("PATCH", "/api/config", {name.replace("__", "."): value for name, value in keys.items()})

    async def version(self) -> int:
        return int((await self.ok("GET", "/api/config/history?limit=1"))["items"][0]["seq"])

    async def export(self) -> str:
        return (await self.raw("GET", "/api/config/export")).text

    async def config(self) -> dict[str, Any]:
        return dict(await self.ok("GET", "/api/config"))


@pytest.fixture
async def desk(settings: Settings, database: Database) -> AsyncIterator[Desk]:
    async with running_api(settings, database) as api:
        yield Desk(api, await api.tenant("acme"))


async def furnish(desk: Desk) -> dict[str, Any]:
    """Something of everything, with secrets."""
    user = await desk.ok("POST", "/api/users", {"email": "ana@acme.example", "name": "Ana"})
    extension = await desk.ok("POST", "/api/extensions", {"number": "201", "user": user["id"]})
    trunk = await desk.ok(
        "POST", "/api/trunks", {"name": "c", "host": "sip.example.com", "username": "u", "password": "canary-trunk-pw"}
    )
    agent = await desk.ok(
        "POST", "/api/ai-agents", {"name": "Bot", "prompt": "Be kind.\nBe short.\n", "language": "no"}
    )
    did = await desk.ok(
        "POST",
        "/api/dids",
        {"number": "+34910000100", "trunk": trunk["id"], "target": {"kind": "ai_agent", "id": agent["id"]}},
    )
    await desk.ok("POST", "/api/recording-policies", {"name": "all", "format": "ogg"})
    await desk.ok("POST", "/api/webhooks", {"url": "https://hooks.example/x", "events": ["call.ended"]})
    await desk.ok("PUT", "/api/secrets/stt_api_key", {"value": "canary-stt-key", "host": "api.deepgram.com"})
    await desk.set(ai__max_turns=7, auth__mfa_required_roles=["superadmin"])
    return {"did": did, "agent": agent, "extension": extension}


async def test_any_two_versions_are_compared_and_any_can_be_gone_back_to(desk: Desk) -> None:
    made = await furnish(desk)
    mark, before, document = await desk.version(), await desk.config(), await desk.export()
    await desk.set(ai__max_turns=9, tenant__timezone="Europe/Berlin")
    await desk.ok("PATCH", f"/api/ai-agents/{made['agent']['id']}", {"prompt": "Be brief.", "greeting": "Hi"})
    await desk.ok("DELETE", f"/api/dids/{made['did']['id']}")
    diff = await desk.ok("GET", f"/api/config/diff?from={mark}")
    assert (diff["from"], diff["to"]) == (mark, mark + 3)
    by_target = {one["target"]: one for one in diff["changes"]}
    turns = by_target["key/tenant//ai.max_turns"]
    assert (turns["action"], turns["before"], turns["after"]) == ("change", 7, 9)
    agent = by_target[f"ai_agent/{made['agent']['id']}"]
    assert {one["field"] for one in agent["fields"]} == {"prompt", "greeting"}
    assert by_target[f"did/{made['did']['id']}"]["action"] == "remove"
    assert {one["key"] for one in diff["effective"]} == {"ai.max_turns", "tenant.timezone"}
    then = await desk.ok("GET", f"/api/config?at={mark}")
    assert then == {name: value for name, value in before.items() if name in then} and then["ai.max_turns"] == 7
    explained = await desk.ok("GET", f"/api/config/ai.max_turns?at={mark}")
    assert (explained["value"], explained["version"], explained["levels"][0]["version"]) == (7, mark, mark)
    did = f"/api/dids/{made['did']['id']}"
    assert (await desk.raw("GET", did)).status_code == 404
    assert (await desk.ok("GET", f"{did}?at={mark}"))["number"] == "+34910000100"
    own = await desk.ok("GET", f"/api/config/history?resource={made['did']['id']}")
    assert [one["seq"] for one in own["items"]] == [mark + 3, own["items"][1]["seq"]]
    back = await desk.ok("POST", "/api/config/rollback", {"to": mark})
    assert (back["version"], back["to"], back["reason"]) == (mark + 4, mark, f"rollback to version {mark}")
    assert await desk.config() == before
    assert await desk.export() == document
    assert (await desk.ok("GET", f"/api/config/diff?from={mark}"))["changes"] == []
    assert (await desk.ok("GET", "/api/ledger/verify"))["ok"] is True


async def test_a_time_names_the_version_that_was_there_then(desk: Desk) -> None:
    await desk.set(ai__max_turns=5)
    at = (await desk.ok("GET", "/api/config/history?limit=1"))["items"][0]["at"]
    await desk.set(ai__max_turns=6)
    assert (await desk.ok("GET", f"/api/config?at={at}"))["ai.max_turns"] == 5
    assert (await desk.raw("GET", "/api/config?at=yesterday")).status_code == 422
    assert (await desk.raw("GET", "/api/config?at=999")).status_code == 404
    explained = await desk.ok("GET", "/api/config?explain=1")
    assert explained["ai.max_turns"]["level"] == "tenant" and len(explained) == 40


async def test_export_import_export_gives_the_same_bytes(desk: Desk) -> None:
    await furnish(desk)
    first, mark = await desk.export(), await desk.version()
    assert "canary" not in first and "secret: stt_api_key" in first and "language: 'no'" in first
    same = await desk.ok("POST", "/api/config/import", {"document": first})
    assert same["changed"] is False and await desk.version() == mark
    await desk.set(ai__max_turns=None, tenant__timezone="Europe/Berlin")
    for one in (await desk.ok("GET", "/api/recording-policies"))["items"]:
        await desk.ok("DELETE", f"/api/recording-policies/{one['id']}")
    assert await desk.export() != first
    await desk.ok("POST", "/api/config/import", {"document": first})
    assert await desk.export() == first
    assert (await desk.ok("GET", "/api/ledger/verify"))["ok"] is True


async def test_a_document_never_carries_a_secret_and_names_what_the_vault_lacks(desk: Desk) -> None:
    head = "format: 1\nresources:\n  trunks:\n  - name: c\n    host: sip.example.com\n"
    plain = await desk.raw("POST", "/api/config/import", {"document": head + "    password: canary-pw\n"})
    assert plain.status_code == 422 and "canary-pw" not in plain.text
    assert plain.json()["where"] == "resources.trunks[0].password"
    missing = await desk.raw("POST", "/api/config/import", {"document": head + "    password: {secret: x}\n"})
    assert missing.status_code == 422 and "no such secret" in missing.json()["detail"]


async def test_a_section_that_is_not_there_is_left_alone(desk: Desk) -> None:
    await furnish(desk)
    await desk.ok("POST", "/api/config/import", {"document": "format: 1\nkeys: {ai.max_turns: 3, tenant.slug: acme}\n"})
    config = await desk.config()
    assert config["ai.max_turns"] == 3 and config["auth.mfa_required_roles"] == ["admin", "superadmin"]
    assert len((await desk.ok("GET", "/api/dids"))["items"]) == 1


async def test_a_resource_without_an_id_is_known_by_its_name(desk: Desk) -> None:
    text = "format: 1\nresources:\n  extensions:\n  - number: '300'\n"
    made = await desk.ok("POST", "/api/config/import", {"document": text})
    assert made["changes"][0]["action"] == "add" and len(made["generated"]) == 1
    again = await desk.ok("POST", "/api/config/import", {"document": text})
    assert again["changed"] is False
    renamed = await desk.ok("POST", "/api/config/import", {"document": text + "    name: Desk\n"})
    assert [one["field"] for one in renamed["changes"][0]["fields"]] == ["name"]


async def test_a_tenant_that_wants_reasons_gets_them(desk: Desk) -> None:
    await desk.ok("POST", "/api/change-control", {"reason_required": True})
    refused = await desk.raw("PATCH", "/api/config", {"ai.max_turns": 5})
    assert (refused.status_code, refused.json()["code"]) == (422, "CHANGE_REASON_REQUIRED")
    await desk.ok("PATCH", "/api/config", {"ai.max_turns": 5}, **{"X-Change-Reason": "calls%20too%20long"})
    assert (await desk.ok("GET", "/api/config/history?limit=1"))["items"][0]["reason"] == "calls too long"


async def test_a_lock_above_refuses_what_would_have_no_effect(desk: Desk) -> None:
    await desk.ok("PATCH", "/api/config?scope=plan:pro", {"ai.max_turns": {"value": 30, "locked": True}})
    refused = await desk.raw("PATCH", "/api/config", {"ai.max_turns": 5})
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFIG_LOCKED")
    assert "plan:pro" in refused.json()["detail"]
    assert (await desk.ok("GET", "/api/config/ai.max_turns"))["levels"][0]["locked"] is True
    await desk.ok("PATCH", "/api/config?scope=plan:pro", {"ai.max_turns": 31})
    assert (await desk.raw("PATCH", "/api/config", {"ai.max_turns": 5})).status_code == 409, "the lock stays"
    await desk.ok("PATCH", "/api/config?scope=plan:pro", {"ai.max_turns": {"value": 30, "locked": False}})
    await desk.set(ai__max_turns=20)
    assert (await desk.config())["ai.max_turns"] == 20, "the default as a value of one's own is not the plan's value"
    await desk.set(ai__max_turns=None)
    assert (await desk.config())["ai.max_turns"] == 30


async def test_the_entity_tag_moves_with_platform_plan_tenant_and_scope(desk: Desk) -> None:
    async def tag(query: str = "") -> str:
        return (await desk.raw("GET", f"/api/config{query}")).headers["etag"]

    seen = [await tag(), await tag("?scope=platform"), await tag("?scope=plan:pro"), await tag("?explain=1")]
    assert len({one.rsplit("-", 1)[1] for one in seen}) == 4
    for turns, path in enumerate(("/api/config?scope=platform", "/api/config?scope=plan:pro", "/api/config"), 30):
        before = await tag()
        assert (await desk.raw("GET", "/api/config", **{"If-None-Match": before})).status_code == 304
        await desk.ok("PATCH", path, {"ai.max_turns": turns})
        assert (await desk.raw("GET", "/api/config", **{"If-None-Match": before})).status_code == 200
        stale = await desk.raw("PATCH", "/api/config", {"ai.max_turns": 3}, **{"If-Match": before})
        assert (stale.status_code, stale.json()["code"]) == (412, "VERSION_CONFLICT")


async def test_all_tenants_are_exported_page_by_page(desk: Desk) -> None:
    await desk.api.tenant("beta")
    first = await desk.api.ok("GET", "/api/config/exports?limit=1")
    second = await desk.api.ok("GET", f"/api/config/exports?limit=1&cursor={first['next']}")
    assert [one["slug"] for one in first["items"] + second["items"]] == ["acme", "beta"] and second["next"] is None
    assert first["items"][0]["document"] == await desk.export()

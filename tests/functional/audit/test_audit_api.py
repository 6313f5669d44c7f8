"""What stands in the audit log after people have worked, asked for over the API."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from sivo.base.ids import uuid7
from support.ground import Server, shared_api
from support.running_api import RunningApi

PASSWORD = "correct horse battery"


pytestmark = pytest.mark.asyncio(loop_scope="module")
#: Of the loopback network, one a company: sign-ins are counted by address.
_networks = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(pg: Server) -> AsyncIterator[RunningApi]:
    async with shared_api(pg) as running:
        yield running


class Person:
    """Somebody who is signed in."""

    def __init__(self, api: RunningApi, token: str) -> None:
        self._api = api
        self.headers = {"Authorization": f"Bearer {token}", "User-Agent": "test browser"}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return await self._api.http.request(method, path, json=body, headers={**self.headers, **headers})

    async def log(self, query: str = "", **headers: str) -> list[dict[str, Any]]:
        answer = await self.ask("GET", f"/api/audit?limit=200&{query}", **headers)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])


async def signed_in(api: RunningApi, email: str, source: str) -> Person:
    answer = await api.login(email, PASSWORD, source)
    assert answer.status_code == 200, answer.text
    return Person(api, answer.json()["access_token"])


async def company(api: RunningApi, slug: str, *roles: str) -> tuple[str, dict[str, Person], dict[str, str]]:
    tenant = await api.tenant(slug)
    ids = {role: await api.user(tenant, f"{role}@{slug}.example", PASSWORD, role=role) for role in roles}
    network = next(_networks)
    people = {
        role: await signed_in(api, f"{role}@{slug}.example", f"127.1.{network}.{at}")
        for at, role in enumerate(roles, 1)
    }
    return tenant, people, ids


@dataclass
class Worked:
    """A tenant whose people have worked: what is in its audit log was done by :func:`worked`."""

    tenant: str
    people: dict[str, Person]
    ids: dict[str, str]
    #: Id of the trunk that the admin made.
    trunk: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worked(api: RunningApi) -> Worked:
    tenant, people, ids = await company(api, "worked", "admin", "supervisor", "agent", "viewer")
    admin, agent = people["admin"], ids["agent"]
    assert (await api.login("agent@worked.example", "wrong", "127.0.9.1")).status_code == 401
    assert (await api.login("nobody@worked.example", "wrong", "127.0.9.2", tenant="worked")).status_code == 401
    trunk = (await admin.ask("POST", "/api/trunks", {"name": "carrier", "host": "192.0.2.1"})).json()
    changed = await admin.ask("PATCH", "/api/config", {"ai.max_turns": 7})
    assert changed.status_code == 200, changed.text
    await admin.ask("PUT", "/api/secrets/llm_api_key", {"value": "sk-very-secret", "host": "llm.example.com"})
    assert (await admin.ask("DELETE", f"/api/users/{agent}/sessions")).json() == {"ended": 1}
    assert (await admin.ask("POST", f"/api/users/{agent}/unlock")).status_code == 200
    assert (await people["viewer"].ask("POST", "/api/auth/logout")).status_code == 204
    return Worked(tenant, people, ids, trunk["id"])


async def test_what_people_do_to_their_logins_is_recorded_without_what_is_secret(worked: Worked) -> None:
    log = await worked.people["supervisor"].log()
    events = {one["event"] for one in log}
    assert {
        "login.succeeded", "login.failed", "logout", "session.ended", "login.unlocked", "config.changed", "mfa.enrolled"
    } <= events  # fmt: skip
    failed = [one for one in log if one["event"] == "login.failed"]
    assert {one["resource"]["type"] for one in failed} == {"user", "account"}
    known = next(one for one in failed if one["resource"]["type"] == "user")
    assert (known["actor"]["email"], known["actor"]["ip"], known["action"]) == (
        "agent@worked.example", "127.0.9.1", "access"
    )  # fmt: skip
    assert "nobody@" not in str(log) and "sk-very-secret" not in str(log) and PASSWORD not in str(log)


async def test_a_changed_resource_says_who_did_it_and_leads_to_before_and_after(worked: Worked) -> None:
    admin = worked.people["admin"]
    log = await worked.people["supervisor"].log()
    created = next(one for one in log if one["resource"] == {"type": "trunk", "id": worked.trunk})
    assert (created["action"], created["diff"], created["crossTenant"]) == ("create", {}, False)
    assert created["actor"] == {
        "id": worked.ids["admin"], "email": "admin@worked.example", "role": "admin",
        "ip": "127.0.0.1", "userAgent": "test browser",
    }  # fmt: skip
    assert created["id"].startswith("evt_audit_") and created["tenantId"] == worked.tenant
    # The ledger holds before and after; the entry leads there.
    history = (await admin.ask("GET", f"/api/config/history?before={created['ledger'] + 1}&limit=1")).json()["items"]
    assert f"trunk/{worked.trunk}" in {change["target"] for change in history[0]["changes"]}


async def test_filters_narrow_the_log(worked: Worked) -> None:
    admin, supervisor = worked.people["admin"], worked.people["supervisor"]
    since = (datetime.now(UTC) + timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    assert await supervisor.log(f"from={since}") == []
    assert len(await supervisor.log(f"to={since}")) == len(await supervisor.log()) > 0
    assert {one["actor"]["email"] for one in await admin.log("user=Admin@worked.example")} == {"admin@worked.example"}
    assert {one["actor"]["id"] for one in await admin.log(f"user={worked.ids['admin']}")} == {worked.ids["admin"]}
    assert {one["event"] for one in await admin.log("event=login.failed")} == {"login.failed"}
    assert {one["action"] for one in await admin.log("action=delete")} == {"delete"}
    only = await admin.log(f"resource_type=trunk&resource_id={worked.trunk}")
    assert [one["event"] for one in only] == ["config.changed"]


async def test_pages_hold_everything_once_and_the_chain_is_intact(worked: Worked) -> None:
    admin = worked.people["admin"]
    log = await worked.people["supervisor"].log()
    seen, cursor = [], ""
    while cursor is not None:
        page = (await admin.ask("GET", f"/api/audit?limit=7{f'&cursor={cursor}' if cursor else ''}")).json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) >= len(log) and seen == sorted(seen, reverse=True)
    verified = (await admin.ask("GET", "/api/audit/verify")).json()
    assert verified["ok"] and verified["entries"] >= len(log), verified
    assert all(one["seq"] for one in await admin.log())


async def test_who_may_not_read_the_log_is_refused(api: RunningApi, worked: Worked) -> None:
    answer = await worked.people["agent"].ask("GET", "/api/audit")
    assert answer.status_code == 401, "its sessions were ended"
    again = await signed_in(api, "viewer@worked.example", "127.0.9.3")
    refused = await again.ask("GET", "/api/audit")
    assert (refused.status_code, refused.json()["code"]) == (403, "INSUFFICIENT_ROLE")


async def test_a_superadmin_in_somebodys_tenant_is_seen_there_and_nobody_else_gets_in(api: RunningApi) -> None:
    ours, people, _ids = await company(api, "ours", "admin")
    _theirs, strangers, _ = await company(api, "strangers", "superadmin", "admin")
    before = len(await people["admin"].log("cross_tenant=true"))
    boss = strangers["superadmin"]
    assert (await boss.ask("GET", "/api/dids", **{"X-Tenant-Id": ours})).status_code == 200
    renamed = await boss.ask("POST", "/api/trunks", {"name": "theirs", "host": "192.0.2.9"}, **{"X-Tenant-Id": ours})
    assert renamed.status_code == 201
    seen = await people["admin"].log("cross_tenant=true")
    fresh = seen[: len(seen) - before]
    assert [(one["event"], one["resource"]["id"]) for one in fresh] == [
        ("config.changed", renamed.json()["id"]),
        ("tenant.accessed", "POST /api/trunks"),
        ("tenant.accessed", "GET /api/dids"),
    ]
    assert {one["actor"]["email"] for one in fresh} == {"superadmin@strangers.example"}
    assert all(one["crossTenant"] for one in fresh)
    assert await boss.log("event=tenant.accessed&user=superadmin@strangers.example") == []
    for path in ("/api/dids", "/api/audit"):
        refused = await strangers["admin"].ask("GET", path, **{"X-Tenant-Id": ours})
        assert (refused.status_code, refused.json()["code"]) == (403, "INSUFFICIENT_ROLE")
    assert len(await people["admin"].log("cross_tenant=true")) == len(seen), "who was refused has seen nothing"


async def test_the_export_is_harmless_csv_and_is_itself_recorded(api: RunningApi) -> None:
    tenant, people, _ids = await company(api, "exporting", "supervisor")
    evil = {"User-Agent": '=HYPERLINK("http://evil")', "X-Forwarded-For": "1.2.3.4"}
    login = {"email": "supervisor@exporting.example", "password": "wrong"}
    await api.http.post("/api/auth/login", json=login, headers=evil)
    answer = await people["supervisor"].ask("GET", "/api/audit/export.csv?event=login.failed")
    assert (
        answer.headers["content-type"].startswith("text/csv") and "attachment" in answer.headers["content-disposition"]
    )
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["event"] for row in rows] == ["login.failed"]
    assert rows[0]["user_agent"] == '\'=HYPERLINK("http://evil")' and rows[0]["ip"] == "127.0.0.1"
    exported = await people["supervisor"].log("event=audit.exported")
    assert [one["diff"] for one in exported] == [{"event": {"from": None, "to": "login.failed"}}]
    assert exported[0]["resource"] == {"type": "audit_log", "id": tenant}


async def test_recordings_and_transcripts_are_read_by_their_agents_alone_and_on_the_record(api: RunningApi) -> None:
    tenant, people, ids = await company(api, "reading", "agent", "supervisor", "admin")
    number = await api.ok("POST", "/api/extensions", {"number": "201", "user": ids["agent"]}, tenant)
    other = await api.ok("POST", "/api/extensions", {"number": "202", "user": ids["supervisor"]}, tenant)
    calls = [await call(api, tenant, extension=one["id"]) for one in (number, other)]
    outgoing = await call(api, tenant, caller="201", direction="outbound")
    spoofed = await call(api, tenant, caller="201", direction="inbound")
    earlier = await call(api, tenant, extension=number["id"], at=datetime.now(UTC) - timedelta(days=1))
    mine = {str(calls[0]), str(outgoing)}
    listed = (await people["agent"].ask("GET", "/api/calls")).json()["items"]
    assert {one["id"] for one in listed} == mine
    for one, expected in ((calls[0], 200), (calls[1], 404), (outgoing, 200), (spoofed, 404), (earlier, 404)):
        for path in (f"/api/calls/{one}", f"/api/calls/{one}/transcript"):
            assert (await people["agent"].ask("GET", path)).status_code == expected, path
            assert (await people["supervisor"].ask("GET", path)).status_code == 200, path
    assert (await people["agent"].ask("GET", f"/api/calls/{calls[0]}/trace")).status_code == 403
    recordings = {(await people["supervisor"].ask("GET", "/api/recordings")).json()["items"][0]["call_id"]}
    assert recordings and len((await people["agent"].ask("GET", "/api/recordings")).json()["items"]) == 2
    read = await people["admin"].log("event=transcript.read&user=agent@reading.example")
    assert {one["resource"]["id"] for one in read} == mine
    # Listening in at somebody else's desk.
    for extension, code in (("201", "VALIDATION_FAILED"), ("202", "CALL_NOT_RUNNING")):
        body = {"extension": extension}
        answer = await people["supervisor"].ask("POST", f"/api/calls/{calls[0]}/supervise", body)
        assert answer.json()["code"] == code, answer.text
    # The extension changes hands: its history stays with who had it.
    await api.ok("PATCH", f"/api/extensions/{number['id']}", {"user": ids["admin"]}, tenant)
    assert (await people["agent"].ask("GET", "/api/calls")).json()["items"] == []
    await api.ok("PATCH", f"/api/extensions/{number['id']}", {"user": ids["agent"]}, tenant)
    assert (await people["agent"].ask("GET", "/api/calls")).json()["items"] == []


async def call(
    api: RunningApi,
    tenant: str,
    *,
    extension: str | None = None,
    caller: str = "+34600000001",
    direction: str = "inbound",
    at: datetime | None = None,
) -> UUID:
    """A call that is over, with a recording that failed, as the call role leaves it."""
    made, moment = uuid7(), at or datetime.now(UTC)
    async with api.context.database.tenant(UUID(tenant)) as connection:
        await connection.execute(
            "insert into call (id, tenant_id, direction, from_number, to_number, extension_id, state, created_at)"
            " values ($1, $2, $3, $4, '+34910000000', $5, 'ended', $6)",
            *(made, UUID(tenant), direction, caller, UUID(extension) if extension else None, moment),
        )
        await connection.execute(
            "insert into recording (id, tenant_id, call_id, node, journal_path, state, wanted, rule, format, kms,"
            " provider_id, expiry_action, retention_days, created_at, expires_at, due_at)"
            " values ($1, $2, $3, 'n', '', 'failed', true, 'r', 'wav', true, 'managed', 'delete', 1, $4, $4, $4)",
            *(uuid7(), UUID(tenant), made, moment),
        )
    return made

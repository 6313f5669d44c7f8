"""Which policy decides on a call that nobody made, through the API and on the command line; queues included."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from test_cli_commands import Sivo

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.policy_table import CASES, PEOPLE, QUEUES, RULES, Case
from support.running_api import RunningApi, running_api

HOTLINE = "+34910000001"
NUMBERS = {"ann": "100", "bob": "101", "eve": "102", "guest": "103", "other": "104"}


async def _company(api: RunningApi, tenant: str) -> dict[str, str]:
    """Phones, people and policies of the table; the ids of DID, people and queues by name."""
    ids = {name: str(uuid4()) for name in QUEUES}
    for name, number in NUMBERS.items():
        phone: dict[str, Any] = {"number": number}
        if name in PEOPLE:
            person = {"email": f"{name}@acme.example", "name": name, "role": "agent"}
            ids[name] = phone["user"] = (await api.ok("POST", "/api/users", person, tenant))["id"]
        made = await api.ok("POST", "/api/extensions", phone, tenant)
    trunk = await api.ok("POST", "/api/trunks", {"name": "carrier", "cidrs": ["127.0.0.8/32"]}, tenant)
    did = {"number": HOTLINE, "trunk": trunk["id"], "target": {"kind": "extension", "id": made["id"]}}
    ids["hotline"] = (await api.ok("POST", "/api/dids", did, tenant))["id"]
    for rule in RULES:
        where = {"name": rule.name, "scope": rule.scope, "active": rule.active}
        where |= {"scope_id": ids[rule.target]} if rule.target else {}
        await api.ok("POST", "/api/recording-policies", {**where, **dict(rule.recording)}, tenant)
        await api.ok("POST", "/api/transcription-policies", {**where, **dict(rule.words)}, tenant)
    return ids


def _asked(case: Case, ids: dict[str, str]) -> dict[str, str]:
    asked = {"from": NUMBERS[case.caller], "to": HOTLINE if case.did else NUMBERS[case.callee]}
    return asked | ({"queue": ids[case.queue]} if case.queue else {})


def _said(decision: dict[str, Any]) -> tuple[Any, str]:
    rule = str(decision["rule"])
    return decision["value"], rule.split()[1] if rule.startswith("policy ") else rule


async def test_policies_of_every_scope_are_resolved_for_a_call_that_nobody_made(
    settings: Settings, database: Database
) -> None:
    async with running_api(settings, database) as api:
        tenant = await api.tenant("acme")
        ids = await _company(api, tenant)
        for case in CASES:
            found = await api.ok("GET", "/api/explain/call", tenant=tenant, params=_asked(case, ids))
            decided = {what: _said(found["decisions"][what]) for what in case.expected}
            assert decided == case.expected, case.title

        wrong = {"from": "103", "to": "104", "queue": "sales"}
        refused = await api.local.get("/api/explain/call", params=wrong, headers={"X-Tenant-Id": tenant})
        assert (refused.status_code, refused.json()["code"]) == (422, "VALIDATION_FAILED")

        sivo = Sivo(settings)
        named = ("call", "explain", "-t", "acme", "--from", "103", "--to", HOTLINE)
        told = (await sivo(*named, "--queue", ids["sales"], "--json")).json["decisions"]
        assert _said(told["recording.retention_days"]) == (50, "sales")
        without = (await sivo(*named)).out
        assert "policy hotline (did" in without and "sales" not in without

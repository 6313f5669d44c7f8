"""The isolation audit as an administrator starts it: on a whole running node, every route, topic, table and cache."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from support.company import Company
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATH = "/api/audit/isolation"
#: The audit itself takes some ten seconds on an idle machine and gives up after five minutes.
PATIENCE = 320.0


async def _status(node: Node, method: str, path: str, body: Any = None, tenant: str = "") -> tuple[int, Any]:
    """Status and JSON of a request to the local socket."""
    connector = aiohttp.UnixConnector(str(node.platform.home / "run" / "api.sock"), force_close=True)
    async with aiohttp.ClientSession("http://sivo", connector=connector) as session:
        headers = {"X-Tenant-Id": tenant} if tenant else {}
        async with session.request(method, path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.mark.timeout(400)
async def test_no_tenant_reaches_another_and_everything_was_tried(node: Node, company: Company) -> None:
    begun = await company.api("POST", PATH)
    status, refused = await _status(node, "POST", PATH, tenant=company.tenant_id)
    assert (status, refused["code"]) == (409, "ISOLATION_AUDIT_RUNNING")
    report = await _report(company, begun["id"])
    bad = [one for one in report["findings"] if one["outcome"] != "held"]
    assert not bad, bad
    assert report["verdict"] == "isolated"
    await _everything_was_tried(node, report)
    await _the_signature_holds(company, report)
    await _nothing_is_left(node, company)


async def _report(company: Company, audit_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = await company.api("GET", f"{PATH}/{audit_id}")
        if found["state"] == "done":
            return dict(found["report"])
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.5)


async def _everything_was_tried(node: Node, report: dict[str, Any]) -> None:
    """Held against lists that the audit did not make."""
    document = (await _status(node, "GET", "/api/openapi.json"))[1]
    names = {
        section: {f["name"] for f in report["findings"] if f["section"] == section} for section in report["counts"]
    }
    operations = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert operations <= names["routes"]
    assert {"call", "recording", "secret", "resource", "audit_entry", "isolation_audit"} <= names["tables"]
    assert {"call.ended", "transcript.segment", "webhook.test"} <= names["events"]
    assert {"users", "extensions", "dids", "webhooks", "secrets"} <= names["resources"]
    assert {"REGISTER with the attacker's password", "INVITE to the owner's extension"} <= names["sip"]
    assert "recording" in names["objects"]
    assert "identity/token_cache.py TokenCache._entries" in names["caches"]


async def _the_signature_holds(company: Company, report: dict[str, Any]) -> None:
    assert (await company.api("POST", f"{PATH}/verify", report))["genuine"]
    altered = {**report, "findings": report["findings"][1:]}
    assert not (await company.api("POST", f"{PATH}/verify", altered))["genuine"]


async def _nothing_is_left(node: Node, company: Company) -> None:
    slugs = [one["slug"] for one in (await _status(node, "GET", "/api/tenants?limit=200"))[1]["items"]]
    assert not [slug for slug in slugs if slug.startswith("canary-")]
    objects = node.platform.home / "objects"
    tenants = {path.relative_to(objects).parts[0] for path in objects.rglob("*") if path.is_file()}
    known = {one["id"] for one in (await _status(node, "GET", "/api/tenants?limit=200"))[1]["items"]}
    assert tenants <= known, "objects of a canary are left"

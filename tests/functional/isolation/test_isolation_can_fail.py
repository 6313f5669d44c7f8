"""An audit that cannot fail proves nothing: holes made on purpose are found, each by the probe of its kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI, Header, HTTPException

from sivo.api import problems
from sivo.api.server import ApiServer
from sivo.audit.keys import LedgerKey
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.isolation import caches_probe, routes_probe, tables
from sivo.isolation.canaries import Canary
from sivo.isolation.doors import Door
from sivo.isolation.findings import Findings, Outcome
from sivo.isolation.report import genuine, signed

ATTACKER, OWNER = uuid7(), uuid7()
CALL = str(uuid7())


def _app() -> FastAPI:
    """Four routes on calls of tenants: one right, one without the tenant check, one that tells what exists, one new."""
    app = FastAPI(openapi_url="/api/openapi.json")
    problems.install(app)

    def refuse(call_id: UUID) -> SivoError:
        return SivoError("NOT_FOUND", f"there is no call {call_id}")

    @app.get("/api/right/{call_id}")
    async def right(call_id: UUID, authorization: str = Header("")) -> dict[str, str]:
        if (str(call_id), authorization) != (CALL, "Bearer owner"):
            raise refuse(call_id)
        return {"text": "secret-mark"}

    @app.get("/api/unchecked/{call_id}")
    async def unchecked(call_id: UUID) -> dict[str, str]:
        if str(call_id) != CALL:
            raise refuse(call_id)
        return {"text": "secret-mark"}

    @app.get("/api/telling/{call_id}")
    async def telling(call_id: UUID, authorization: str = Header("")) -> dict[str, str]:
        if str(call_id) != CALL:
            raise refuse(call_id)
        if authorization != "Bearer owner":
            raise HTTPException(403, "this call is not yours")
        return {"text": "secret-mark"}

    @app.get("/api/listing")
    async def listing(authorization: str = Header("")) -> list[str]:
        return ["secret-mark"]

    @app.get("/api/news/{newspaper_id}")
    async def news(newspaper_id: UUID) -> dict[str, str]:
        raise refuse(newspaper_id)

    @app.get("/api/empty/{call_id}")
    async def empty(call_id: UUID) -> dict[str, str]:
        raise refuse(call_id)

    return app


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Settings]:
    server = ApiServer(_app(), "127.0.0.1", settings.http_port, settings.api_socket)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait_for(server.opened.wait(), 10)
    yield settings
    server.should_exit = True
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(serving, 10)


def _canary(settings: Settings, tenant_id: UUID, token: str) -> Canary:
    door = Door.public(settings)
    door.token = token
    ids = {"call_id": CALL, "trunks": str(uuid7()), "extensions": str(uuid7())} if token == "owner" else {}
    return Canary(tenant_id, f"canary-{token}", "", "", "secret-mark" if token == "owner" else "other", door, ids=ids)


async def test_a_route_without_a_tenant_check_is_found(served: Settings) -> None:
    attacker, owner = _canary(served, ATTACKER, "attacker"), _canary(served, OWNER, "owner")
    findings = Findings()
    try:
        document = (await owner.door.ask("GET", "/api/openapi.json")).json
        await routes_probe.probe(document, attacker, owner, findings)
    finally:
        await attacker.door.close()
        await owner.door.close()
    found = {one.name: one for one in findings.items}
    assert found["GET /api/right/{call_id}"].outcome is Outcome.HELD, found
    assert found["GET /api/unchecked/{call_id}"].outcome is Outcome.LEAKED
    assert "secret-mark" in found["GET /api/unchecked/{call_id}"].detail
    assert found["GET /api/telling/{call_id}"].outcome is Outcome.LEAKED, "what exists can be told from what does not"
    assert found["GET /api/listing"].outcome is Outcome.LEAKED
    assert found["GET /api/news/{newspaper_id}"].outcome is Outcome.UNCOVERED
    assert "newspaper_id" in found["GET /api/news/{newspaper_id}"].detail
    assert found["GET /api/empty/{call_id}"].outcome is Outcome.UNCOVERED, "the owner gets nothing there either"
    assert findings.verdict == "leaking"


async def test_a_table_without_a_policy_is_found_and_one_without_a_probe_too(
    pg, database_name: str, database: Database
) -> None:
    connection = await asyncpg.connect(pg.owner_dsn(database_name))
    try:
        await connection.execute(
            "create table leaky (id uuid primary key, tenant_id uuid not null);"
            "grant select, insert, update, delete on leaky to sivo_tenant, sivo_platform;"
            "create table half (id uuid primary key, tenant_id uuid not null);"
            "select sivo_tenant_table('half');"
            "create policy open on half for select to sivo_tenant using (true);"
            "create table sound (id uuid primary key, tenant_id uuid not null, kind text not null"
            " check (kind in ('a', 'b')));"
            "select sivo_tenant_table('sound');"
            "create table odd (tenant_id uuid not null, n int not null check (n % 7 = 3));"
            "select sivo_tenant_table('odd');"
            "create table open_to_all (id int); grant select on open_to_all to sivo_tenant"
        )
    finally:
        await connection.close()
    findings = Findings()
    await tables.probe(database, ATTACKER, OWNER, findings)
    found = {one.name: (one.outcome, one.detail) for one in findings.items}
    assert found["leaky"][0] is Outcome.LEAKED and "could be removed" in found["leaky"][1]
    assert "given to the other tenant" in found["leaky"][1]
    assert found["half"][0] is Outcome.LEAKED and "are seen" in found["half"][1]
    assert found["sound"][0] is Outcome.HELD, found["sound"]
    assert found["odd"][0] is Outcome.UNCOVERED and "odd" in str(found["odd"])
    assert found["open_to_all"][0] is Outcome.LEAKED
    async with database.platform("what the probe left behind") as scope:
        assert await scope.fetchval("select count(*) from sound") == 0, "nothing that was tried stays"


async def test_a_cache_that_nobody_declared_fails_the_audit(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "more.py").write_text("class More:\n    def __init__(self):\n        self._kept = {}\n")
    findings = Findings()
    await caches_probe.judge({}, findings, tmp_path)
    assert [(one.name, one.outcome) for one in findings.items] == [
        ("vault/more.py More._kept", Outcome.UNCOVERED),
    ]
    assert findings.verdict == "not covered"


def test_a_changed_report_is_not_genuine() -> None:
    key = LedgerKey.generate()
    report = signed({"format": 1, "verdict": "leaking", "findings": [{"name": "x"}]}, key)
    assert genuine(report, key)
    assert not genuine({**report, "verdict": "isolated"}, key)
    assert not genuine({**report, "findings": []}, key)
    assert not genuine(report, LedgerKey.generate()), "another platform's key"
    assert not genuine({**report, "signature": {"key_id": key.key_id, "value": "zz"}}, key)
    assert not genuine({**report, "signature": None}, key) and not genuine(None, key)


def test_an_audit_that_tried_nothing_has_proved_nothing() -> None:
    assert Findings().verdict == "not covered"

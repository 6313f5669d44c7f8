"""One isolation audit from canaries to signed report. Runs in the ``api`` role, against the node that it runs on."""

from __future__ import annotations

import asyncio
from datetime import datetime
from importlib.metadata import version
from typing import Any

from sivo.api.context import Context
from sivo.base import logs
from sivo.base.node import node_id
from sivo.isolation import (
    caches_probe,
    canaries,
    cleanup,
    events_probe,
    objects_probe,
    past,
    routes_probe,
    sip_probe,
    store,
    tables,
)
from sivo.isolation import report as reports
from sivo.isolation.canaries import Canary
from sivo.isolation.doors import Door
from sivo.isolation.findings import Findings
from sivo.isolation.store import Begun

#: Seconds after which an audit is given up: the canaries go, and the report says so.
LIMIT_S = 300.0
_log = logs.get("isolation")


async def run(context: Context, begun: Begun) -> dict[str, Any]:
    """Run it whole, keep the signed report and give it back. The canaries go whatever happens."""
    started, findings = context.clock.now(), Findings()
    try:
        async with asyncio.timeout(LIMIT_S):
            await _tried(context, begun, findings)
    except Exception as error:
        _log.error("isolation audit failed", audit=str(begun.id), kind=type(error).__name__)
        findings.uncovered("audit", "run", f"{type(error).__name__}: {str(error)[:300]}")
    finally:
        left = await asyncio.shield(cleanup.remove(context, begun.slugs))
    findings.judge("audit", "canaries are removed", [f"{tenant} is still there" for tenant in left])
    made = _report(context, begun, findings, started)
    await store.finish(context.database, begun, made, context.clock.now())
    _log.info("isolation audit done", audit=str(begun.id), verdict=findings.verdict)
    return made


async def _tried(context: Context, begun: Begun, findings: Findings) -> None:
    settings = context.settings
    doors = [Door.local(settings), Door.public(settings), Door.public(settings)]
    try:
        attacker, owner = [await canaries.make(doors[0], doors[n + 1], slug) for n, slug in enumerate(begun.slugs)]
        for canary in (attacker, owner):
            await past.leave(context, canary)
        told = await events_probe.put(context.database, owner)
        _kinds(attacker, owner, findings)
        await events_probe.probe(context.database, told, attacker, owner, findings)
        async with context.database.tenant(owner.tenant_id) as connection:
            delivery = await connection.fetchval("select id from webhook_delivery order by id desc limit 1")
        if delivery is not None:
            owner.ids["delivery_id"] = str(delivery)
        await objects_probe.probe(context, attacker, owner, findings)
        await tables.probe(context.database, attacker.tenant_id, owner.tenant_id, findings)
        await sip_probe.probe(settings, attacker, owner, findings)
        tried = await caches_probe.attempt(context, attacker, owner)
        document = await doors[0].must("GET", "/api/openapi.json")
        await routes_probe.probe(document, attacker, owner, findings)
        await caches_probe.judge(tried, findings)
    finally:
        for door in doors:
            await door.close()


def _kinds(attacker: Canary, owner: Canary, findings: Findings) -> None:
    """Every kind of resource is there to be tried."""
    for canary in (attacker, owner):
        for kind, why in canary.missing.items():
            findings.uncovered("resources", kind, why)
    plurals = [name for name in owner.ids if not name.endswith("_id")]
    for plural in plurals:
        findings.held("resources", plural, "one each")


def _report(context: Context, begun: Begun, findings: Findings, started: datetime) -> dict[str, Any]:
    plain = {
        "format": reports.FORMAT,
        "audit": str(begun.id),
        "platform": context.settings.app_domain_suffix,
        "node": node_id(context.settings),
        "version": version("sivo"),
        "started_at": started.isoformat(),
        "finished_at": context.clock.now().isoformat(),
        **findings.body(),
    }
    return reports.signed(plain, context.resources.ledger_key)

"""Every event topic: what happens to one canary is delivered to its own endpoint and never to the other's."""

from __future__ import annotations

import asyncio
from uuid import UUID

from sivo.db.scopes import Database
from sivo.events import outbox
from sivo.events.catalogue import CATALOGUE, WEBHOOK_TEST
from sivo.isolation.canaries import Canary
from sivo.isolation.findings import Findings

SECTION = "events"
#: Seconds that a worker may take to hand events on.
SPREAD_S = 30.0


async def put(database: Database, owner: Canary) -> dict[str, str]:
    """One event of every topic, told of ``owner``: id -> topic."""
    put: dict[str, str] = {}
    async with database.tenant(owner.tenant_id) as connection:
        for name in CATALOGUE:
            data = {"callId": owner.ids["call_id"], "note": owner.marker}
            if name == WEBHOOK_TEST:
                data = {"endpointId": owner.ids["webhooks"], "message": owner.marker}
            put[await outbox.put(connection, owner.tenant_id, name, data)] = name
    return put


async def probe(database: Database, told: dict[str, str], attacker: Canary, owner: Canary, findings: Findings) -> None:
    """Where the events of :func:`put` went."""
    delivered = await _delivered(database, set(told), owner.tenant_id)
    async with database.tenant(attacker.tenant_id) as connection:
        rows = await connection.fetch("select event_id, type from webhook_delivery")
    strayed = {row["event_id"]: row["type"] for row in rows if row["event_id"] in told}
    for event_id, topic in told.items():
        if event_id in strayed:
            findings.leaked(SECTION, topic, "delivered to the other tenant's endpoint")
        elif event_id not in delivered:
            findings.uncovered(SECTION, topic, "not handed on to its own tenant either: is a worker running?")
        else:
            findings.held(SECTION, topic)


async def _delivered(database: Database, wanted: set[str], tenant_id: UUID) -> set[str]:
    deadline = asyncio.get_running_loop().time() + SPREAD_S
    while True:
        async with database.tenant(tenant_id) as connection:
            rows = await connection.fetch(
                "select event_id from webhook_delivery where event_id = any($1)", sorted(wanted)
            )
        found = {row["event_id"] for row in rows}
        if found == wanted or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(0.25)

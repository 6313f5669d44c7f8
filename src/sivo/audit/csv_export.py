"""The audit log as CSV (RFC 4180), written page by page, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from sivo.audit import reading
from sivo.audit.reading import Filter
from sivo.db.scopes import Database

PAGE = 500
COLUMNS = (
    "id",
    "timestamp",
    "event",
    "action",
    "actor_id",
    "actor_email",
    "actor_role",
    "ip",
    "user_agent",
    "resource_type",
    "resource_id",
    "diff",
    "cross_tenant",
    "ledger",
    "seq",
)
#: What makes a spreadsheet take a cell for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


async def lines(database: Database, tenant_id: UUID, wanted: Filter) -> AsyncIterator[bytes]:
    """Header and entries, newest first; each page is read in a transaction of its own, none is held while we send."""
    yield _line(COLUMNS)
    before: UUID | None = None
    while True:
        async with database.tenant(tenant_id) as connection:
            rows = await reading.entries(connection, wanted, before, PAGE)
        if rows:
            yield b"".join(_line(_cells(reading.shown(row))) for row in rows)
        if len(rows) < PAGE:
            return
        before = rows[-1]["id"]


def _cells(entry: dict[str, Any]) -> tuple[Any, ...]:
    actor, resource = entry["actor"], entry["resource"]
    return (
        entry["id"],
        entry["timestamp"],
        entry["event"],
        entry["action"],
        actor["id"],
        actor["email"],
        actor["role"],
        actor["ip"],
        actor["userAgent"],
        resource["type"],
        resource["id"],
        json.dumps(entry["diff"], ensure_ascii=False, sort_keys=True) if entry["diff"] else "",
        "true" if entry["crossTenant"] else "false",
        entry["ledger"],
        entry["seq"],
    )


def _line(cells: tuple[Any, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(["" if cell is None else harmless(str(cell)) for cell in cells])
    return out.getvalue().encode()


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes in front of what could begin one."""
    return f"'{text}" if text.startswith(_FORMULA) else text

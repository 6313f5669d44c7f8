"""Why a key had its value on one past call: from the snapshot that the call pinned and the reads stored on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sivo.base.errors import SivoError
from sivo.config import registry, snapshots
from sivo.config.types import REDACTED
from sivo.db.scopes import Connection


async def snapshot_of(connection: Connection, tenant_id: UUID, call_id: UUID) -> tuple[dict[str, Any], list[Any]]:
    """(content of the snapshot, reads) of a call. Raises NOT_FOUND."""
    row = await connection.fetchrow("select snapshot_hash, config_reads from call where id = $1", call_id)
    body = await snapshots.load(connection, tenant_id, row["snapshot_hash"]) if row and row["snapshot_hash"] else None
    if row is None or body is None:
        what = "there is no call" if row is None else "no configuration was kept with the call"
        raise SivoError("NOT_FOUND", f"{what} {call_id}", where="call")
    return body, list(row["config_reads"])


def explained(body: Mapping[str, Any], reads: Sequence[Mapping[str, Any]], name: str, role: str) -> dict[str, Any]:
    """One key as the call knew it: every level, winner, author, time, reason, lock; and whether it was read."""
    key = registry.get(name)
    if role not in key.read_roles:
        raise SivoError("INSUFFICIENT_ROLE", f"role {role} may not read {name}", where=name)
    if name not in body["values"]:
        raise SivoError("NOT_FOUND", f"{name} did not exist at the time of the call", where=name)
    levels = body.get("levels", {}).get(name, [])
    return {
        "key": name,
        "value": REDACTED if key.secret else body["values"][name],
        **body["sources"][name],
        "levels": [{**one, "value": REDACTED} for one in levels] if key.secret else levels,
        "read": any(one["key"] == name for one in reads),
    }


def with_levels(reads: Sequence[Mapping[str, Any]], body: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The reads of a call, each with who set the value and what every level said; for the trace."""
    if body is None:
        return [dict(one) for one in reads]
    return [{**one, **_origin(body, one["key"]), "levels": body.get("levels", {}).get(one["key"], [])} for one in reads]


def _origin(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    source = body["sources"].get(name, {})
    return {part: source[part] for part in ("author", "at", "reason", "how") if source.get(part)}

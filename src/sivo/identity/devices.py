"""SIP accounts of softphones: one per session, with a secret of its own that ends with the session.

The digest user name of a device is the extension's number, a dash and eight hex digits; the address of record stays
the extension's. So a lost laptop is signed out without touching the desk phone of the same extension.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sivo.base.ids import uuid7
from sivo.db.scopes import Connection
from sivo.vault.vault import Vault

_PURPOSE = "sip-device"


@dataclass(frozen=True, slots=True)
class Device:
    """One softphone's account; ``secret`` is shown when it is made and otherwise stays in memory."""

    id: UUID
    extension_id: UUID
    auth_user: str
    expires_at: datetime
    secret: str = field(repr=False)


async def add(
    connection: Connection,
    vault: Vault,
    tenant_id: UUID,
    user_id: UUID,
    session: tuple[UUID, datetime],
    extension: tuple[UUID, str],
    now: datetime,
) -> Device:
    """An account for ``session`` (id, end) on ``extension`` (id, number)."""
    session_id, expires_at = session
    extension_id, number = extension
    made = Device(uuid7(), extension_id, f"{number}-{secrets.token_hex(4)}", expires_at, secrets.token_urlsafe(24))
    await connection.execute(
        "insert into device (id, tenant_id, session_id, user_id, extension_id, auth_user, secret_sealed, created_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        made.id,
        tenant_id,
        session_id,
        user_id,
        extension_id,
        made.auth_user,
        await vault.seal(tenant_id, f"{_PURPOSE}:{made.id}", made.secret.encode()),
        now,
    )
    return made


async def live(
    connection: Connection, vault: Vault, tenant_id: UUID, known: Mapping[UUID, Device]
) -> dict[UUID, Device]:
    """Accounts of open sessions of active users who still have the extension, by id.

    Those in ``known`` are not opened again.
    """
    rows = await connection.fetch(
        "select d.id, d.extension_id, d.auth_user, d.secret_sealed, s.expires_at from device d"
        " join session s on s.id = d.session_id join resource u on u.id = d.user_id"
        " join resource e on e.id = d.extension_id"
        " where s.revoked_at is null and s.expires_at > now() and coalesce((u.body ->> 'active')::boolean, true)"
        " and coalesce(e.body ->> 'user', u.id::text) = u.id::text"
    )
    found = {}
    for row in rows:
        device = known.get(row["id"])
        if device is None:
            secret = await vault.open(tenant_id, f"{_PURPOSE}:{row['id']}", row["secret_sealed"])
            device = Device(row["id"], row["extension_id"], row["auth_user"], row["expires_at"], secret.decode())
        found[device.id] = device
    return found

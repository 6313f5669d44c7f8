"""The table ``kek``: which key-encryption key wraps now, and which were retired. All functions: scope ``platform``.

A data key is stored only while its key-encryption key is *active*, checked under a share lock on that row; retiring
takes the row for itself. So when a rotation is through, no process that lags behind can bring the old key back.
"""

from __future__ import annotations

from sivo.base.errors import SivoError
from sivo.db.scopes import Connection
from sivo.vault.kek import KEK_UNUSABLE
from sivo.vault.keyring import Keyring

ACTIVE, READABLE, RETIRED = "active", "readable", "retired"
#: Notified when another key wraps from now on, or a data key was replaced; payload: tenant id, or empty.
CHANNEL = "sivo_vault"


async def active(connection: Connection) -> str | None:
    """Id of the key that wraps new data keys; None in a database that has none yet."""
    found: str | None = await connection.fetchval("select kek_id from kek where state = 'active'")
    return found


async def settle(connection: Connection, keyring: Keyring) -> str:
    """Id of the key that wraps, named here at the first start. Raises VAULT_KEK_UNUSABLE when it is not held."""
    known = await active(connection)
    if known is None:
        # A database from before there was this table: what its keys are under is in force.
        under = await connection.fetchval(
            "select kek_id from (select kek_id, created_at from platform_key union all"
            " select kek_id, created_at from tenant_key) k order by created_at limit 1"
        )
        await connection.execute(
            "insert into kek (kek_id, state) values ($1, 'active') on conflict do nothing",
            under or keyring.current.kek_id,
        )
        known = await active(connection)
    assert known is not None
    if not keyring.holds(known):
        await _refuse_retired(connection, keyring.current.kek_id)
        keyring.by_id(known)
    return known


async def lock_for_wrapping(connection: Connection, kek_id: str) -> bool:
    """Whether ``kek_id`` wraps now; if so it goes on doing so until this transaction ends."""
    await connection.execute(
        "insert into kek (kek_id, state) select $1, 'active' where not exists (select from kek where state = 'active')"
        " on conflict do nothing",
        kek_id,
    )
    state = await connection.fetchval("select state from kek where kek_id = $1 for share", kek_id)
    return bool(state == ACTIVE)


async def activate(connection: Connection, kek_id: str) -> bool:
    """Let ``kek_id`` wrap from now on; False when it does already. A retired key does not come back."""
    await connection.execute("lock table kek in share row exclusive mode")
    await _refuse_retired(connection, kek_id)
    if await active(connection) == kek_id:
        return False
    await connection.execute("update kek set state = 'readable' where state = 'active'")
    await connection.execute(
        "insert into kek (kek_id, state) values ($1, 'active') on conflict (kek_id) do update set state = 'active'",
        kek_id,
    )
    await connection.execute("select pg_notify($1, '')", CHANNEL)
    return True


async def retire_unused(connection: Connection) -> list[str]:
    """Retire the keys that wrap nothing any more; returns their ids."""
    rows = await connection.fetch("select kek_id from kek where state = 'readable' for update")
    retired = []
    for row in rows:
        if not await left_under(connection, row["kek_id"]):
            await connection.execute(
                "update kek set state = 'retired', retired_at = now() where kek_id = $1", row["kek_id"]
            )
            retired.append(row["kek_id"])
    return retired


async def left_under(connection: Connection, kek_id: str) -> int:
    """How many data keys are wrapped under ``kek_id``."""
    count: int = await connection.fetchval(
        "select (select count(*) from tenant_key where kek_id = $1)"
        " + (select count(*) from platform_key where kek_id = $1)",
        kek_id,
    )
    return count


async def _refuse_retired(connection: Connection, kek_id: str) -> None:
    at = await connection.fetchval("select retired_at from kek where kek_id = $1 and state = 'retired'", kek_id)
    if at is not None:
        raise SivoError(
            KEK_UNUSABLE,
            f"key {kek_id} was retired by a rotation at {at.isoformat(timespec='seconds')} and is not taken back",
            where="SIVO_KEK",
            remedy="name the key that replaced it (`sivo vault status` on another node shows its id)",
        )

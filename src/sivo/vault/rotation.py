"""Changing the key-encryption key: every data key is wrapped again, one row at a time, while both keys open.

Resumable by its rows: each says which key wrapped it, and is replaced by one statement that changes nothing else. A
process that is killed anywhere leaves every row under one of the two keys, and whoever comes next goes on. When none
is left under the old key, that key is retired: it wraps no more, and a process that has only it is not started.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.base import logs
from sivo.db.scopes import Connection, Database
from sivo.vault import envelope, keks
from sivo.vault.data_keys import wrap_label
from sivo.vault.keyring import Keyring
from sivo.vault.vault import Vault

#: Data keys wrapped again between two looks at the database.
BATCH = 50

_log = logs.get("vault")


@dataclass(frozen=True, slots=True)
class KekStatus:
    """One key-encryption key: its state and how many data keys are wrapped under it."""

    kek_id: str
    state: str
    data_keys: int
    since: datetime
    retired_at: datetime | None
    #: Whether the answering process holds it.
    held: bool

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "kek_id": self.kek_id,
            "state": self.state,
            "data_keys": self.data_keys,
            "since": self.since.isoformat(),
            "retired_at": self.retired_at.isoformat() if self.retired_at else None,
            "held": self.held,
        }


async def status(database: Database, keyring: Keyring) -> list[KekStatus]:
    """All key-encryption keys that this database has known, the one in force first."""
    async with database.platform("vault: status") as connection:
        rows = await connection.fetch(
            "select k.kek_id, k.state, k.created_at, k.retired_at,"
            " (select count(*) from tenant_key t where t.kek_id = k.kek_id)"
            " + (select count(*) from platform_key p where p.kek_id = k.kek_id) as held"
            " from kek k order by k.state, k.created_at desc"
        )
    return [
        KekStatus(
            row["kek_id"],
            row["state"],
            row["held"],
            row["created_at"],
            row["retired_at"],
            keyring.holds(row["kek_id"]),
        )
        for row in rows
    ]


async def begin(connection: Connection, keyring: Keyring) -> bool:
    """Let the key of ``SIVO_KEK`` wrap from now on (scope ``platform``); False when it does already.

    Raises VAULT_KEK_UNUSABLE when it was retired, or when the one in force is not held: nothing could be wrapped again.
    """
    before = await keks.active(connection)
    if before is not None:
        keyring.by_id(before)
    begun = await keks.activate(connection, keyring.current.kek_id)
    if begun:
        _log.info("kek_rotation_begun", old=before, new=keyring.current.kek_id)
    return begun


async def step(database: Database, keyring: Keyring) -> bool:
    """Wrap the next data keys again and retire what wraps nothing any more; False when there was nothing to do."""
    async with database.platform("vault: wrap again") as connection:
        wanted = await keks.active(connection)
        if wanted is None or await connection.fetchval("select not exists (select from kek where state = 'readable')"):
            return False
        rows = await _under_another(connection, wanted)
    for row in rows:
        label = wrap_label(row["tenant_id"], row["key_id"])
        material = await keyring.by_id(row["kek_id"]).unwrap(row["wrapped"], label)
        wrapped = await keyring.by_id(wanted).wrap(material, label)
        table = "platform_key" if row["tenant_id"] is None else "tenant_key"
        async with database.platform("vault: wrap again") as connection:
            if await keks.lock_for_wrapping(connection, wanted):
                await connection.execute(
                    f"update {table} set wrapped = $1, kek_id = $2 where key_id = $3 and kek_id = $4",  # noqa: S608
                    wrapped,
                    wanted,
                    row["key_id"],
                    row["kek_id"],
                )
    if rows:
        return True
    async with database.platform("vault: retire key") as connection:
        retired = await keks.retire_unused(connection)
    for kek_id in retired:
        _log.info("kek_retired", kek=kek_id)
    return bool(retired)


async def _under_another(connection: Connection, wanted: str) -> list[Any]:
    return await connection.fetch(
        "select * from (select tenant_id, key_id, wrapped, kek_id from tenant_key where kek_id <> $1"
        " union all select null, key_id, wrapped, kek_id from platform_key where kek_id <> $1) k limit $2",
        wanted,
        BATCH,
    )


async def replace_data_key(database: Database, vault: Vault, tenant_id: UUID | None) -> tuple[UUID, int]:
    """Give a tenant (None: the platform) another data key, and seal its secrets (the platform's items) again.

    Recordings, journals and whatever else was sealed before stay under the old key, which goes on opening. Returns the
    new key's id and how many values were sealed again. Can be repeated: what is left is done.
    """
    key_id = await vault.data_keys.replace(tenant_id)
    return key_id, await (_reseal_items(database, vault) if tenant_id is None else _reseal(database, vault, tenant_id))


async def _reseal(database: Database, vault: Vault, tenant_id: UUID) -> int:
    key = await vault.tenant_key(tenant_id)
    async with database.tenant(tenant_id) as connection:
        rows = await connection.fetch("select name, sealed, previous_sealed from secret")
    done = 0
    for row in rows:
        if envelope.key_id_of(row["sealed"]) == key.key_id:
            continue
        purpose = f"secret:{row['name']}"
        again = [
            None if one is None else await vault.seal(tenant_id, purpose, await vault.open(tenant_id, purpose, one))
            for one in (row["sealed"], row["previous_sealed"])
        ]
        async with database.tenant(tenant_id) as connection:
            # Only if nobody has entered another value meanwhile.
            changed = await connection.execute(
                "update secret set sealed = $1, previous_sealed = $2 where name = $3 and sealed = $4",
                *again,
                row["name"],
                row["sealed"],
            )
        done += int(changed != "UPDATE 0")
    return done


async def _reseal_items(database: Database, vault: Vault) -> int:
    async with database.platform("vault: seal again") as connection:
        rows = await connection.fetch("select name, sealed from platform_item")
    for row in rows:
        purpose = f"item:{row['name']}"
        again = await vault.seal_platform(purpose, await vault.open_platform(purpose, row["sealed"]))
        async with database.platform("vault: seal again") as connection:
            await connection.execute(
                "update platform_item set sealed = $1 where name = $2 and sealed = $3",
                again,
                row["name"],
                row["sealed"],
            )
    return len(rows)

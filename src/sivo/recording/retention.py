"""What is past its sealed expiry goes: recordings with their objects, transcript texts with their rows."""

from __future__ import annotations

from datetime import datetime

from sivo.db.scopes import Database
from sivo.storage.store import Store

_BATCH = 100


async def expire_recordings(database: Database, store: Store, at: datetime) -> int:
    """Delete up to a batch of expired recordings; returns how many went.

    The object goes first: a row that says *stored* while its object is gone is found again, the other way round an
    object would lie there for ever.
    """
    async with database.platform("recording retention") as connection:
        rows = await connection.fetch(
            "select id, object_key from recording where state = 'stored' and expires_at <= $1 limit $2", at, _BATCH
        )
        for row in rows:
            await store.delete(row["object_key"])
            await connection.execute(
                """update recording set state = 'expired', object_key = null, wrapped_key = null
                    where id = $1 and state = 'stored'""",
                row["id"],
            )
    return len(rows)

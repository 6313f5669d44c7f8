"""Canaries go by the path of any deleted tenant, without its grace: keys first, then objects and rows."""

from __future__ import annotations

import asyncio
from uuid import UUID

from sivo.api.context import Context
from sivo.base import logs
from sivo.base.node import node_id
from sivo.config.change import Author
from sivo.isolation import store
from sivo.storage.store import Objects
from sivo.tenants import lifecycle
from sivo.tenants.erasure import Erasure

#: Seconds for both canaries to go; a worker that died over one holds it for two minutes.
PATIENCE_S = 150.0
_AUTHOR = Author("system", "superadmin")
_REASON = "isolation audit: the canary has served"
_log = logs.get("isolation")


async def remove(context: Context, slugs: tuple[str, ...]) -> list[UUID]:
    """Delete the canaries of these slugs for good; those that are still there afterwards."""
    for tenant_id in await store.canary_ids(context.database, slugs):
        await lifecycle.delete(context, tenant_id, _AUTHOR, _REASON)
        async with context.database.platform("isolation audit: no grace for canaries") as connection:
            await connection.execute(
                "update tenant set delete_at = $2 where id = $1 and status = 'deleting'",
                tenant_id,
                context.clock.now(),
            )
    objects = Objects.local(context.settings.object_dir)
    erasure = Erasure(context.database, context.vault, objects, context.clock, context.resources.checkpoints)
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while (left := await store.canary_ids(context.database, slugs)) and asyncio.get_running_loop().time() < deadline:
        if not await erasure.run_once():
            await asyncio.sleep(0.25)  # a worker has taken them before us and finishes what it began
    return left


async def after_a_death(context: Context) -> int:
    """At the start of a node: end what an earlier process left running; how many audits that were."""
    left = await store.dead(context.database, node_id(context.settings), context.clock.now())
    for begun in left:
        await remove(context, begun.slugs)
        await store.finish(context.database, begun, None, context.clock.now())
        _log.warning("an isolation audit had died; its canaries are removed", audit=str(begun.id))
    return len(left)

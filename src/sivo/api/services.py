"""Opening and closing the long-lived services of an ``api`` process, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sivo.api.context import Context
from sivo.base.clock import Clock
from sivo.base.settings import Settings
from sivo.config import releases
from sivo.config.resources import Resources
from sivo.db.scopes import Database
from sivo.identity.service import Identity
from sivo.vault.vault import Vault


@asynccontextmanager
async def open_context(settings: Settings, clock: Clock, database: Database) -> AsyncIterator[Context]:
    """Everything the routers need, on an open database; closed when the block ends."""
    vault = await Vault.for_node(database, settings)
    identity = Identity(settings, clock, database, vault)
    resources = await Resources.open(settings, clock, database, vault)
    try:
        await identity.start()
        await releases.follow(database, clock, resources.ledger_key, resources.checkpoints)
        await resources.live.start()
        yield Context(
            settings=settings,
            clock=clock,
            database=database,
            vault=vault,
            resources=resources,
            identity=identity,
        )
    finally:
        await resources.live.stop()
        identity.close()

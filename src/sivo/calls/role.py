"""The ``call`` role: SIP and call control of this node."""

from __future__ import annotations

import asyncio

from sivo.base.settings import Settings
from sivo.calls.node import CallNode
from sivo.db.connect import connect
from sivo.monitoring.door import open_door
from sivo.node import ready
from sivo.vault.vault import Vault


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set; then BYE to every call, and return when everything is written."""
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = await connect(settings)
    try:
        node = CallNode(settings, database, await Vault.for_node(database, settings))
        await node.start()
        try:
            async with open_door(settings, "call", node.figures.book, node.watching.checks()):
                ready.announce()
                await stop.wait()
        finally:
            await node.stop()
    finally:
        await database.close()

"""A process that applies change-sets until it is killed: ``python apply_child.py HOME DSN TENANT FIRST``.

Each set gives three keys one number, and makes a resource that bears it. A line on standard output follows each.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from sivo.base import logs
from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.config.change import Author, Create, SetKey
from sivo.config.resources import Resources
from sivo.db.scopes import Database
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault

KEYS = ("ai.max_turns", "auth.login_max_attempts", "webhooks.dlq_retention_days")


async def _apply_for_ever(home: Path, dsn: str, tenant: UUID, first: int) -> None:
    settings = Settings(home=home)
    database = await Database.open(dsn)
    vault = Vault(database, FileKek.load(settings.kek_file))
    resources = await Resources.open(settings, SystemClock(), database, vault)
    for number in range(first, first + 900):
        value = 3 + number % 17
        changes = [SetKey(key, value) for key in KEYS]
        extension = Create("extension", {"number": str(1000 + number), "name": str(value)})
        await resources.apply(tenant, Author("local:0", "superadmin"), f"number {number}", [*changes, extension])
        print(number, flush=True)


if __name__ == "__main__":
    logs.configure("apply", "error")
    asyncio.run(_apply_for_ever(Path(sys.argv[1]), sys.argv[2], UUID(sys.argv[3]), int(sys.argv[4])))

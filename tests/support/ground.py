"""What a whole test module may share, where one of each for every test would cost more than the tests themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.ports import free_port
from support.running_api import RunningApi, running_api


class Server(Protocol):
    """The embedded PostgreSQL of the session (fixture ``pg``)."""

    async def fresh_database(self) -> str: ...

    async def drop_database(self, name: str) -> None: ...

    def app_dsn(self, database: str) -> str: ...


@dataclass
class Ground:
    """A database, settings and a clock that a test module shares."""

    settings: Settings
    database: Database
    clock: VirtualClock


@asynccontextmanager
async def open_ground(pg: Server) -> AsyncIterator[Ground]:
    """A fresh database and a home of its own."""
    home = Path(tempfile.mkdtemp(prefix="sivo-t-"))
    home.chmod(0o700)
    settings = Settings(home=home, http_port=free_port(), media_processes=1)
    settings.run_dir.mkdir(mode=0o700)
    name = await pg.fresh_database()
    try:
        database = await Database.open(pg.app_dsn(name), max_size=6)
        try:
            yield Ground(settings, database, VirtualClock())
        finally:
            await database.close()
    finally:
        await pg.drop_database(name)
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def shared_api(pg: Server) -> AsyncIterator[RunningApi]:
    """An ``api`` on the clock of the machine; every test makes tenants of its own."""
    async with open_ground(pg) as ground, running_api(ground.settings, ground.database) as api:
        yield api

"""The fixture of all tests of calls."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from call_house import House, running_house
from secure_phone import running_secure_house

from sivo.base.settings import Settings
from sivo.db.listen import Listener
from sivo.db.scopes import Database
from support.pg_proxy import PgProxy


@pytest.fixture
async def house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role with one media process."""
    async with running_house(settings, database, 1) as made:
        yield made


@pytest.fixture
async def two_media_house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role with two media processes."""
    async with running_house(settings, database, 2) as made:
        yield made


@pytest.fixture
async def shaky(settings: Settings, app_dsn: str) -> AsyncIterator[tuple[House, PgProxy]]:
    """A call role whose database can be taken away."""
    proxy = PgProxy(app_dsn)
    await proxy.up()
    database = await Database.open(proxy.dsn)
    try:
        async with running_house(settings, database, 1) as made:
            yield made, proxy
    finally:
        await database.close()
        await proxy.close()


@pytest.fixture
async def doors(settings: Settings, app_dsn: str) -> AsyncIterator[tuple[House, PgProxy, PgProxy]]:
    """A call role, the door that only its LISTEN goes through, and the one of everything else."""
    listening, everything = PgProxy(app_dsn), PgProxy(app_dsn)
    await listening.up()
    await everything.up()
    database = await Database.open(everything.dsn)
    database._listener = Listener(listening.dsn)
    try:
        async with running_house(settings, database, 1) as made:
            yield made, listening, everything
    finally:
        await database.close()
        await listening.close()
        await everything.close()


@pytest.fixture
async def small_house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role whose one media process takes eight calls."""
    async with running_house(settings.model_copy(update={"media_call_cap": 8}), database, 1) as made:
        yield made


@pytest.fixture
async def open_house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role that serves every address of both families."""
    async with running_house(settings.model_copy(update={"sip_host": "::"}), database, 1) as made:
        yield made


@pytest.fixture
async def secure_house(
    settings: Settings, database: Database, tmp_path: Path
) -> AsyncIterator[tuple[House, ssl.SSLContext, Path]]:
    """A call role on TLS, what phones trust, and the CA."""
    async with running_secure_house(settings, database, tmp_path) as made:
        yield made

"""The fixture of all tests of calls."""

from __future__ import annotations

import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from call_house import House
from secure_phone import authority

from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.calls.node import CallNode
from sivo.config.resources import Resources
from sivo.db.listen import Listener
from sivo.db.scopes import Database
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault
from support.pg_proxy import PgProxy


@asynccontextmanager
async def running(settings: Settings, database: Database, processes: int) -> AsyncIterator[House]:
    """A running call role with one tenant and ``processes`` media processes."""
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = settings.model_copy(update={"media_processes": processes})
    vault = Vault(database, FileKek.load(settings.kek_file))
    resources = await Resources.open(settings, SystemClock(), database, vault)
    node = CallNode(settings, database, vault)
    made = House(settings, database, vault, resources, node)
    try:
        await made.provision()
        for index in range(processes):
            made.start_media(index)
        await node.start()
        await made.settled(lambda: all(link.ready for link in node.services.media.links), timeout=20)
        yield made
        if not made.node_killed:
            await node.stop()
    finally:
        for phone in made.phones:
            phone.close()
        for index in list(made.media):
            made.stop_media(index, signal.SIGKILL)


@pytest.fixture
async def house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role with one media process."""
    async with running(settings, database, 1) as made:
        yield made


@pytest.fixture
async def two_media_house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role with two media processes."""
    async with running(settings, database, 2) as made:
        yield made


@pytest.fixture
async def shaky(settings: Settings, app_dsn: str) -> AsyncIterator[tuple[House, PgProxy]]:
    """A call role whose database can be taken away."""
    proxy = PgProxy(app_dsn)
    await proxy.up()
    database = await Database.open(proxy.dsn)
    try:
        async with running(settings, database, 1) as made:
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
        async with running(settings, database, 1) as made:
            yield made, listening, everything
    finally:
        await database.close()
        await listening.close()
        await everything.close()


@pytest.fixture
async def small_house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role whose one media process takes eight calls."""
    async with running(settings.model_copy(update={"media_call_cap": 8}), database, 1) as made:
        yield made


@pytest.fixture
async def open_house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A call role that serves every address of both families."""
    async with running(settings.model_copy(update={"sip_host": "::"}), database, 1) as made:
        yield made


@pytest.fixture
async def secure_house(
    settings: Settings, database: Database, tmp_path: Path
) -> AsyncIterator[tuple[House, ssl.SSLContext, Path]]:
    """A call role with a certificate by a CA of the test's own, what phones trust, and that CA."""
    ca, certificate, key = authority(tmp_path / "tls")
    shown = {"sip_tls_certificate": certificate, "sip_tls_key": key}
    async with running(settings.model_copy(update=shown), database, 1) as house:
        yield house, ssl.create_default_context(cafile=str(ca)), ca

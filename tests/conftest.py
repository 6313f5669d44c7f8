"""Fixtures that every tier shares: a real PostgreSQL, fresh databases, settings of a node, a clock."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import hypothesis
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db import secret_file
from sivo.db.bootstrap import prepare, with_user
from sivo.db.embedded import EmbeddedPostgres
from sivo.db.scopes import Database
from sivo.node import ready
from support.ports import free_port

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
_numbers = itertools.count(1)
#: Nodes of tests open the operator's port only where a test gives them one of their own.
os.environ.setdefault("SIVO_OPERATOR_PORT", "0")
# Properties are about values: how long one example takes on a busy machine says nothing of them.
hypothesis.settings.register_profile("sivo", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("sivo")


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay: no test has to pay for the collector's looking through them."""
    ready.settle()


@dataclass
class TestServer:
    """A running embedded server with a migrated template database ``sivo_template``."""

    __test__ = False
    home: Path
    server: EmbeddedPostgres
    app_password: str

    def superuser_dsn(self, database: str = "postgres") -> str:
        """For what only the tests do (make and drop databases, look behind the policies)."""
        return self.server.dsn("postgres", database)

    def owner_dsn(self, database: str) -> str:
        """The schema's owner."""
        return self.server.dsn("sivo_owner", database)

    def app_dsn(self, database: str) -> str:
        """The login role of the product's processes."""
        return with_user(self.owner_dsn(database), "sivo_app", self.app_password)

    async def execute(self, statement: str) -> None:
        """Run one statement as superuser in the maintenance database."""
        connection = await asyncpg.connect(self.superuser_dsn())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def fresh_database(self) -> str:
        """Clone the template; returns the new database's name."""
        name = f"sivo_test_{os.getpid()}_{next(_numbers)}"
        await self.execute(f'create database "{name}" template sivo_template owner sivo_owner')
        return name

    async def drop_database(self, name: str) -> None:
        """Remove it, open connections included."""
        await self.execute(f'drop database if exists "{name}" with (force)')


async def _start(home: Path) -> TestServer:
    server = EmbeddedPostgres(Settings(home=home), options=_FAST)
    await server.start()
    started = TestServer(home, server, secret_file.password(home / "db-app-password"))
    await started.execute("create database sivo_template owner sivo_owner")
    await prepare(started.owner_dsn("sivo_template"), started.app_password)
    return started


@pytest.fixture(scope="session")
def pg() -> Iterator[TestServer]:
    """One embedded PostgreSQL for the whole session (per xdist worker)."""
    home = Path(tempfile.mkdtemp(prefix="sivo-test-pg-"))
    loop = asyncio.new_event_loop()
    try:
        started = loop.run_until_complete(_start(home))
        try:
            yield started
        finally:
            loop.run_until_complete(started.server.stop())
    finally:
        loop.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def database_name(pg: TestServer) -> AsyncIterator[str]:
    """Name of a fresh, migrated, empty database, for tests that need several connections or processes to it."""
    name = await pg.fresh_database()
    try:
        yield name
    finally:
        await pg.drop_database(name)


@pytest.fixture
async def app_dsn(pg: TestServer, database_name: str) -> str:
    """DSN of the fresh database for ``SIVO_APP_DSN`` of a child process."""
    return pg.app_dsn(database_name)


@pytest.fixture
async def database(app_dsn: str) -> AsyncIterator[Database]:
    """The fresh database, opened the way the product opens it."""
    opened = await Database.open(app_dsn, max_size=6)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Settings of a node with its own home (short path, for Unix sockets) and free ports."""
    home = Path(tempfile.mkdtemp(prefix="sivo-t-"))
    home.chmod(0o700)
    made = Settings(
        home=home,
        http_port=free_port(),
        speech_port=free_port(),
        sip_port=free_port(socket.SOCK_DGRAM),
        media_processes=1,
    )
    made.run_dir.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that only the test moves."""
    return VirtualClock()

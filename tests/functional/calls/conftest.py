"""The fixture of all tests of calls."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import pytest
from call_house import House

from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.calls.node import CallNode
from sivo.config.resources import Resources
from sivo.db.scopes import Database
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault


@pytest.fixture
async def house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """A running call role with one tenant and one media process."""
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault = Vault(database, FileKek.load(settings.kek_file))
    resources = await Resources.open(settings, SystemClock(), database, vault)
    node = CallNode(settings, database, vault)
    made = House(settings, database, vault, resources, node)
    try:
        await made.provision()
        made.start_media()
        await node.start()
        yield made
        await node.stop()
    finally:
        for phone in made.phones:
            phone.close()
        for index in list(made.media):
            made.stop_media(index, signal.SIGKILL)

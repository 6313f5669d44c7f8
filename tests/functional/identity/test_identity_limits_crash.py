"""A crash of PostgreSQL forgets neither an exact limit nor a lock: the postmaster is killed between two requests."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from sivo.base.clock import SystemClock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.db.bootstrap import open_server
from sivo.db.connect import connect
from sivo.identity.lock_store import Locks
from sivo.identity.rates import AGENT, LEADS, LOGIN, Standing
from sivo.identity.shared_rates import ExactRates
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault


async def test_exact_limits_and_locks_survive_a_crash(settings: Settings) -> None:
    server = await open_server(settings)
    assert server.embedded is not None and server.embedded.pid is not None
    database = await connect(settings)
    try:
        rates = ExactRates(database, SystemClock())
        locks = Locks(database, Vault(database, FileKek.load(settings.kek_file)), SystemClock())
        account = locks.account("ana@acme.example")
        for limit in (LOGIN, AGENT, LEADS):
            passed = [not (await rates.take(limit, "127.0.0.1")).refused for _ in range(limit.amount)]
            assert passed == [True] * limit.amount
        for _ in range(2):
            await locks.begin(account, "127.0.0.1", 2)
        killed = server.embedded.pid
        os.kill(killed, signal.SIGKILL)

        async def after_the_crash(name: int) -> Standing:
            async with asyncio.timeout(60):
                while True:
                    try:
                        return await rates.take((LOGIN, AGENT, LEADS)[name], "127.0.0.1")
                    except SivoError as error:
                        assert error.code == "UNAVAILABLE", error
                        await asyncio.sleep(0.1)

        for number in range(3):
            assert (await after_the_crash(number)).refused
        assert server.embedded.pid != killed
        with pytest.raises(SivoError) as locked:
            await locks.begin(account, "127.0.0.1", 2)
        assert locked.value.code == "LOGIN_LOCKED"
    finally:
        await database.close()
        await server.stop()

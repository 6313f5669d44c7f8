"""Wraps data keys again until it is killed: ``python -m support.rotating_child DSN``, settings from ``SIVO_…``."""

from __future__ import annotations

import asyncio
import sys

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.vault import rotation
from sivo.vault.keyring import Keyring


async def main(dsn: str) -> None:
    database = await Database.open(dsn, max_size=2)
    keyring = Keyring.from_settings(Settings(), create=False)
    async with database.platform("test: begin") as connection:
        await rotation.begin(connection, keyring)
    print("begun", flush=True)
    while await rotation.step(database, keyring):
        pass


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

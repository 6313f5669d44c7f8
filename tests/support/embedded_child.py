"""A launcher in a process of its own: starts a server in ``argv[1]`` and says in one JSON line how it went."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.db.bootstrap import open_server
from sivo.db.scopes import Database


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def main(home: str) -> None:
    try:
        server = await open_server(Settings(home=Path(home)))
    except SivoError as error:
        say(refused=error.code, message=str(error))
        return
    database = await Database.open(server.app_dsn)
    async with database.platform("test: hello") as connection:
        version = await connection.fetchval("show server_version")
    await database.close()
    assert server.embedded is not None
    say(pid=server.embedded.pid, version=version, uid=os.getuid(), owner_dsn=server.owner_dsn, app_dsn=server.app_dsn)
    await asyncio.to_thread(sys.stdin.readline)
    await server.stop()
    say(stopped=True)


asyncio.run(main(sys.argv[1]))

"""Processes of ``make bench-config``: ``api HOME DSN TENANTS`` serves, ``follow HOME DSN`` tells what it knew when."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import uvloop
from fastapi import Depends, Response

from sivo.api.app import create_app
from sivo.api.context import Context
from sivo.api.server import ApiServer
from sivo.api.services import open_context
from sivo.base import logs
from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.config.change import Author
from sivo.config.provision import create_tenant
from sivo.config.resources import Resources
from sivo.db.scopes import Database
from sivo.identity.access import Caller, current_caller
from sivo.identity.grants import From
from sivo.node import ready
from sivo.routing.live import LiveDirectory
from sivo.routing.loader import Loader
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault
from support.ports import free_port

OPERATOR = Author("local:0", "superadmin")
KEY = "ai.max_duration_sec"


async def _one(context: Context, number: int) -> str:
    """A tenant with one person; an access token of theirs."""
    resources: Resources = context.resources
    tenant = await create_tenant(context, f"bench{number}", f"Bench {number}", "pro", OPERATOR)
    body = {"email": f"a@bench{number}.example", "name": "A", "role": "agent"}
    user = (await resources.create(tenant.id, "user", body, author=OPERATOR)).resource
    person = await context.identity.people.get(tenant.id, user.id)
    assert person is not None
    return (await context.identity.grants.open(person, "totp", From("bench"))).access_token


async def api(home: Path, dsn: str, tenants: int) -> None:
    """Serve, with an endpoint that does nothing beside the product's own; the first line tells port and tokens."""
    settings = Settings(home=home, http_port=free_port())
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    database = await Database.open(dsn)
    async with open_context(settings, SystemClock(), database) as context:
        tokens = [await _one(context, number) for number in range(tenants)]
        app = create_app(context)

        @app.get("/bench/empty", response_model=None)
        async def empty(who: Annotated[Caller, Depends(current_caller)]) -> Response:
            return Response(b"{}", media_type="application/json")

        server = ApiServer(app, settings.http_host, settings.http_port, settings.api_socket)
        serving = asyncio.create_task(server.serve())
        await server.opened.wait()
        ready.settle()  # as the role does
        print(json.dumps({"port": settings.http_port, "tokens": tokens}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving
    await database.close()


async def follow(home: Path, dsn: str) -> None:
    """Keep the directory of a ``call`` process; a line for each value of :data:`KEY` with the moment it stood there."""
    settings = Settings(home=home)
    database = await Database.open(dsn)
    live = LiveDirectory(Loader(database, Vault(database, FileKek.load(settings.kek_file)), settings))
    seen: list[tuple[str, int, int]] = []

    def look(tenants: set[object]) -> None:
        now = time.monotonic_ns()
        for tenant in tenants:
            picture = live.current.pictures.get(tenant)  # type: ignore[call-overload]
            if picture is not None:
                seen.append((str(tenant), int(picture.snapshots[None, None].read(KEY)), now))

    live.watch(look)
    await live.start(database)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await live.stop()
    print(json.dumps(seen), flush=True)
    await database.close()


if __name__ == "__main__":
    logs.configure("bench", "error")
    place, where = Path(sys.argv[2]), sys.argv[3]
    uvloop.run(api(place, where, int(sys.argv[4])) if sys.argv[1] == "api" else follow(place, where))

"""The ``api`` role: opens what the routers need, serves until told to stop, closes in reverse."""

from __future__ import annotations

import asyncio

from sivo.api.app import create_app
from sivo.api.context import Context
from sivo.api.server import ApiServer
from sivo.base import logs
from sivo.node import ready

_log = logs.get("api")


async def serve(context: Context, stop: asyncio.Event) -> None:
    """Serve ``context`` on TCP and on the local socket until ``stop`` is set."""
    settings = context.settings
    server = ApiServer(create_app(context), settings.http_host, settings.http_port, settings.api_socket)
    serving = asyncio.create_task(server.serve(), name="api-server")
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            _log.info("serving", host=settings.http_host, port=settings.http_port)
            ready.announce()
        await asyncio.wait([serving, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await serving
        settings.api_socket.unlink(missing_ok=True)

"""The ``api`` role: opens what the routers need, serves until told to stop, closes in reverse."""

from __future__ import annotations

import asyncio

from sivo.api import health
from sivo.api.app import create_app
from sivo.api.context import Context
from sivo.api.server import ApiServer
from sivo.api.services import open_context
from sivo.base import logs
from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.db.connect import connect
from sivo.isolation import cleanup
from sivo.monitoring.book import Book
from sivo.monitoring.door import open_door
from sivo.node import ready

_log = logs.get("api")


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Entry point of the role; returns after a clean stop."""
    database = await connect(settings)
    try:
        async with open_context(settings, SystemClock(), database) as context:
            # Canaries of an audit that a kill interrupted go while we serve already.
            sweeping = asyncio.create_task(_sweep(context))
            try:
                await serve(context, stop)
            finally:
                sweeping.cancel()
    finally:
        await database.close()


async def _sweep(context: Context) -> None:
    try:
        await cleanup.after_a_death(context)
    except Exception as error:
        _log.error("canaries of a dead isolation audit are still there", kind=type(error).__name__)


async def serve(context: Context, stop: asyncio.Event) -> None:
    """Serve ``context`` on TCP and on the local socket until ``stop`` is set."""
    settings = context.settings
    book = Book("api")
    server = ApiServer(create_app(context, book), settings.http_host, settings.http_port, settings.api_socket)
    serving = asyncio.create_task(server.serve(), name="api-server")
    opened = asyncio.create_task(server.opened.wait())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([serving, opened], return_when=asyncio.FIRST_COMPLETED)
        if server.opened.is_set():
            _log.info("serving", host=settings.http_host, port=settings.http_port)
            async with open_door(settings, "api", book, {"database": lambda: health.database_state(context)}):
                ready.announce()
                await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    finally:
        opened.cancel()
        stopped.cancel()
        server.should_exit = True
        await serving
        settings.api_socket.unlink(missing_ok=True)

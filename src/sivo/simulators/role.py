"""One process, one port, every vendor: the paths of the protocols do not meet."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from sivo.base import logs
from sivo.simulators import (
    control,
    deepgram_server,
    elevenlabs_http,
    elevenlabs_socket,
    openai_audio,
    openai_chat,
    scribe_server,
)
from sivo.simulators.script import World
from sivo.simulators.voice import one_voice

#: Rooms of the house: each gives the routes of one vendor protocol.
PROTOCOLS = (
    control.routes,
    deepgram_server.routes,
    elevenlabs_http.routes,
    elevenlabs_socket.routes,
    openai_audio.routes,
    openai_chat.routes,
    scribe_server.routes,
)

_log = logs.get("simulators")


def make_app(world: World) -> web.Application:
    """The application that serves all protocols for the accounts of ``world``."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.cleanup_ctx.append(one_voice)
    for routes in PROTOCOLS:
        app.add_routes(routes(world))
    return app


@asynccontextmanager
async def serving(
    world: World, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve inside the ``async with``; gives the port. With ``tls`` everything is https:// and wss://. ``OSError``
    when the port is taken."""
    runner = web.AppRunner(make_app(world), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def run(world: World, host: str, port: int, stop: asyncio.Event, tls: ssl.SSLContext | None = None) -> None:
    """Serve until ``stop`` is set."""
    async with serving(world, host, port, tls) as actual:
        _log.info("simulators serve", host=host, port=actual, tls=tls is not None)
        await stop.wait()

"""An ``api`` process as the platform runs it, with three routes more that only the bench has.

``/bench/open`` and ``/bench/gated`` are one handler, the second behind the gate of a reader's route: their difference
is what authentication costs. ``/bench/checks`` times role and tenant checks by themselves, in this process, with the
objects of the request that asks for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Awaitable
from typing import Annotated, Any

import uvloop
from fastapi import Depends, FastAPI, Request

from sivo.api.app import create_app
from sivo.api.context import Context
from sivo.api.server import ApiServer
from sivo.api.services import open_context
from sivo.base import logs
from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.db.connect import connect
from sivo.identity.access import Caller, Permission, Principal, current_caller, require
from sivo.node import ready

ROUNDS, REPEATS = 30, 1_000
_GATE = require(Permission.RESOURCES_READ)


async def _answer() -> dict[str, str]:
    return {"status": "ok"}


def _finished(work: Awaitable[Any]) -> None:
    """Run a coroutine that does not wait for anything; one that would is a fault of the measurement."""
    try:
        work.__await__().send(None)
    except StopIteration:
        return
    raise RuntimeError("a check went to the network")


def add_routes(app: FastAPI, context: Context) -> None:
    """The routes of the bench."""
    app.get("/bench/open")(_answer)

    @app.get("/bench/gated")
    async def gated(_who: Annotated[Principal, Depends(_GATE)]) -> dict[str, str]:
        return await _answer()

    @app.get("/bench/checks")
    async def checks(request: Request, caller: Annotated[Caller, Depends(current_caller)]) -> dict[str, float]:
        """Microseconds for: the tenant that the header names, the tenant of the host, the role of the route."""
        authentication = context.identity.authentication
        times = []
        for _ in range(ROUNDS):
            began = time.thread_time_ns()
            for _ in range(REPEATS):
                _finished(authentication._in_tenant(caller, request))
                _finished(authentication.check_host(request, caller.tenant_id))
                _GATE.principal(caller)
            times.append((time.thread_time_ns() - began) / REPEATS / 1000)
            await asyncio.sleep(0)
        return {"median_us": statistics.median(times), "worst_us": max(times)}


async def main() -> None:
    """Serve until SIGTERM."""
    settings, stop = Settings(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = await connect(settings)
    try:
        async with open_context(settings, SystemClock(), database) as context:
            app = create_app(context)
            add_routes(app, context)
            server = ApiServer(app, settings.http_host, settings.http_port, settings.api_socket)
            serving = asyncio.create_task(server.serve())
            await server.opened.wait()
            ready.settle()  # as the role does
            print("ready", os.getpid(), flush=True)
            await stop.wait()
            server.should_exit = True
            await serving
    finally:
        await database.close()


if __name__ == "__main__":
    logs.configure("bench-api", "critical")
    uvloop.run(main())

"""The operator's door: ``/metrics``, ``/healthz``, ``/readyz`` and ``/probe`` over HTTP, on loopback or a Unix socket.

Every role but ``media`` serves it on ``run/operator-<role>.sock``; the supervisor asks them and serves the node as a
whole on the operator port. A role that was started alone serves that port itself (decision record 0015).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiohttp import web

from sivo.base import logs
from sivo.base.settings import Settings
from sivo.monitoring import processes
from sivo.monitoring.book import CONTENT_TYPE, Book
from sivo.monitoring.declared import PROCESS_UP
from sivo.monitoring.probes.prober import PLANES, Prober

#: What a role needs to do its work: name -> ``up``, or ``down: why``.
Checks = Mapping[str, Callable[[], Awaitable[str]]]
CHECK_SECONDS = 2.0
log = logs.get("monitoring")


class Desk(Protocol):
    """Who answers behind the door. ``role``: one process of the node; empty: all of it. ``KeyError``: no such one."""

    async def metrics(self, role: str) -> bytes:
        """Prometheus text."""
        ...

    async def healthy(self, role: str) -> bool:
        """Whether it is alive."""
        ...

    async def ready(self, role: str) -> tuple[bool, dict[str, Any]]:
        """Whether it can do its work, and what was found."""
        ...


class RoleDesk:
    """One role that answers for itself."""

    def __init__(self, name: str, book: Book, checks: Checks, *, alone: bool) -> None:
        self._name = name
        self._book = book
        self._checks = checks
        self._own = Book("supervisor") if alone else None
        if self._own is not None:
            self._own.source(lambda: processes.readings(name, os.getpid()))
            self._own.source(processes.build)
            self._own.source(lambda: [(PROCESS_UP, {"process": name}, 1.0)])

    def _me(self, role: str) -> None:
        if role not in ("", self._name):
            raise KeyError(role)

    async def metrics(self, role: str) -> bytes:
        """See :class:`Desk`."""
        self._me(role)
        return self._book.text() + (self._own.text() if self._own is not None else b"")

    async def healthy(self, role: str) -> bool:
        """See :class:`Desk`: who answers lives."""
        self._me(role)
        return True

    async def ready(self, role: str) -> tuple[bool, dict[str, Any]]:
        """See :class:`Desk`."""
        self._me(role)
        found = dict(zip(self._checks, await asyncio.gather(*map(_checked, self._checks.values())), strict=True))
        return all(state == "up" for state in found.values()), {"checks": found}


async def _checked(check: Callable[[], Awaitable[str]]) -> str:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except TimeoutError:
        return f"down: no answer within {CHECK_SECONDS:.0f} s"
    except Exception as error:
        return f"down: {type(error).__name__}"


def application(desk: Desk, prober: Prober | None = None) -> web.Application:
    """The HTTP side. Free of tenants, numbers and secrets, for it asks nobody who they are."""

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=await desk.metrics(_role(request)), headers={"Content-Type": CONTENT_TYPE})

    async def healthz(request: web.Request) -> web.Response:
        alive = await desk.healthy(_role(request))
        return web.json_response({"status": "ok" if alive else "down"}, status=200 if alive else 503)

    async def readyz(request: web.Request) -> web.Response:
        ready, found = await desk.ready(_role(request))
        return web.json_response({"status": "ready" if ready else "not ready", **found}, status=200 if ready else 503)

    async def probe(request: web.Request) -> web.Response:
        plane = request.query.get("plane", "")
        if prober is None or plane not in PLANES:
            raise web.HTTPNotFound(text=f"plane: one of {', '.join(PLANES)}\n")
        return web.Response(body=(await prober.probe(plane)).text(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application(middlewares=[_unknown_roles])
    for path, handler in (("/metrics", metrics), ("/healthz", healthz), ("/readyz", readyz), ("/probe", probe)):
        app.router.add_get(path, handler)
    return app


def _role(request: web.Request) -> str:
    return request.query.get("role", "")


@web.middleware
async def _unknown_roles(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except KeyError:
        raise web.HTTPNotFound(text="there is no such role on this node\n") from None


@asynccontextmanager
async def open_door(settings: Settings, role: str, book: Book, checks: Checks) -> AsyncIterator[None]:
    """The door of one role, open for the block."""
    if not settings.operator_port:
        yield
        return
    alone = not settings.supervised
    runner = web.AppRunner(
        application(RoleDesk(role, book, checks, alone=alone), Prober(settings) if alone else None),
        access_log=None,
        shutdown_timeout=0.5,
    )
    await runner.setup()
    path = settings.operator_socket(role)
    try:
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(path)).start()
        except OSError as error:
            log.error("the operator's socket cannot be opened", path=path.name, error=str(error))
        finally:
            os.umask(mask)
        if alone:
            await listen(runner, settings)
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)


async def listen(runner: web.AppRunner, settings: Settings) -> None:
    """Open the operator port. That it is taken must not keep the phones from being answered: it is logged."""
    try:
        await web.TCPSite(runner, settings.operator_host, settings.operator_port).start()
    except OSError as error:
        where, port = settings.operator_host, settings.operator_port
        log.error("the operator port is not served", host=where, port=port, error=error.strerror)

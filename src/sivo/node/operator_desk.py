"""The node as a whole for its operator: the supervisor asks every role through its socket, all at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from sivo.base.settings import Settings
from sivo.monitoring import processes
from sivo.monitoring.book import Book, Reading
from sivo.monitoring.declared import PROCESS_STARTS, PROCESS_UP
from sivo.monitoring.door import application, listen
from sivo.monitoring.probes.prober import Prober
from sivo.node.process import ChildProcess

#: A role that does not answer by then is left out of the scrape, and is not ready.
PATIENCE_SECONDS = 3.0


class NodeDesk:
    """Answers for all roles under one supervisor (:class:`sivo.monitoring.door.Desk`)."""

    def __init__(self, settings: Settings, children: Sequence[ChildProcess]) -> None:
        self._settings = settings
        self._children = {one.slot.name: one for one in children}
        self._book = Book("supervisor")
        self._book.source(self._read)
        self._book.source(processes.build)

    def _read(self) -> Iterator[Reading]:
        for name, one in self._children.items():
            labels = {"process": name}
            yield PROCESS_UP, labels, float(_lives(one))
            yield PROCESS_STARTS, labels, float(one.starts)
            if _lives(one) and one.pid is not None:
                yield from processes.readings(name, one.pid)

    def _wanted(self, role: str) -> list[str]:
        if role and role not in self._children:
            raise KeyError(role)
        return [role] if role else list(self._children)

    async def metrics(self, role: str) -> bytes:
        """See Desk. ``media`` has no door: its numbers come with those of ``call``."""
        names = [name for name in self._wanted(role) if not self._children[name].slot.role.per_core]
        texts = await asyncio.gather(*(self._ask(name, "/metrics") for name in names))
        return b"".join([text for status, text in texts if status == 200] + ([] if role else [self._book.text()]))

    async def healthy(self, role: str) -> bool:
        """See Desk: the supervisor lives; a role lives when its process does, and its loop answers."""
        if not role:
            return True
        one = self._children[role]
        if one.slot.role.per_core:
            return _lives(one)
        return _lives(one) and (await self._ask(role, "/healthz"))[0] == 200

    async def ready(self, role: str) -> tuple[bool, dict[str, Any]]:
        """See Desk: every role that runs on this machine can do its work."""
        names = self._wanted(role)
        states = dict(zip(names, await asyncio.gather(*map(self._state, names)), strict=True))
        return all(one["status"] == "ready" for one in states.values()), {"processes": states}

    async def _state(self, name: str) -> dict[str, Any]:
        one = self._children[name]
        if not _lives(one):
            return {"status": "not ready", "checks": {"process": "down: it is being started"}}
        if one.slot.role.per_core:
            return {"status": "ready", "checks": {"process": "up"}}
        status, body = await self._ask(name, "/readyz")
        if status == 0:
            return {"status": "not ready", "checks": {"process": "down: it does not answer"}}
        return dict(json.loads(body))

    async def _ask(self, name: str, path: str) -> tuple[int, bytes]:
        """Status and body; 0 when there was no answer."""
        connector = aiohttp.UnixConnector(str(self._settings.operator_socket(name)))
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://role{path}") as answer,
            ):
                return answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, b""


def _lives(one: ChildProcess) -> bool:
    return one.ready.is_set() and one.process is not None and one.process.returncode is None


@asynccontextmanager
async def open_node_door(settings: Settings, children: Sequence[ChildProcess]) -> AsyncIterator[None]:
    """The operator port of the node, open for the block."""
    if not settings.operator_port:
        yield
        return
    runner = web.AppRunner(
        application(NodeDesk(settings, children), Prober(settings)), access_log=None, shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        await listen(runner, settings)
        yield
    finally:
        await runner.cleanup()

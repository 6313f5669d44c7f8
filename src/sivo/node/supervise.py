"""``sivo run``: the database, then every role, watched until Ctrl-C; PostgreSQL stops last."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.db.bootstrap import Server, open_server
from sivo.node import child
from sivo.node.lock import NodeLock
from sivo.node.process import ChildProcess
from sivo.node.roles import ROLES, Slot, slots

log = logs.get("node")

#: A node that is not ready by then says what it still waits for, and goes on waiting.
_PATIENCE_SECONDS = 20.0


class Supervisor:
    """Keeps a set of role processes alive and stops them in the order that loses nothing."""

    def __init__(self, settings: Settings, wanted: list[Slot]) -> None:
        self._settings = settings
        self._children = [ChildProcess(slot, dict(os.environ)) for slot in wanted]
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, keep it running until ``stop`` is set, then stop it."""
        watchers: list[asyncio.Task[None]] = []
        try:
            watchers = [asyncio.create_task(self._keep_alive(one)) for one in self._children]
            announcer = asyncio.create_task(self._announce_ready())
            # Its libraries are loaded while the roles are starting.
            from sivo.node.operator_desk import open_node_door

            async with open_node_door(self._settings, self._children):
                await stop.wait()
            announcer.cancel()
        finally:
            self._stopping = True
            await self._stop_in_order()
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _keep_alive(self, one: ChildProcess) -> None:
        while not self._stopping:
            await one.start()
            log.info("started", process=one.slot.name, pid=one.pid)
            code = await one.wait()
            if self._stopping:
                return
            lived = time.monotonic() - one.started_at
            wait = one.backoff.delay(lived)
            log.error("died", process=one.slot.name, exit=code, lived_s=round(lived, 1), restart_in_s=wait)
            await asyncio.sleep(wait)

    async def _announce_ready(self) -> None:
        began = time.monotonic()
        while True:
            # The events are new at each restart, so they are asked again rather than awaited once.
            missing = [one.slot.name for one in self._children if not one.ready.is_set()]
            if not missing:
                break
            if time.monotonic() - began > _PATIENCE_SECONDS:
                log.warning("not ready yet", waiting_for=missing)
                began = time.monotonic()
            await asyncio.sleep(0.02)
        (self._settings.run_dir / "ready").write_text(f"{os.getpid()}\n")
        log.info("ready", processes=[f"{one.slot.name}:{one.pid}" for one in self._children])

    async def _stop_in_order(self) -> None:
        for role in ROLES.values():
            group = [one for one in self._children if one.slot.role is role]
            await asyncio.gather(*(one.stop() for one in group))


async def _run_node(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = NodeLock(settings.run_dir / "supervisor.lock")
    lock.acquire()
    for left in (settings.run_dir / "ready", settings.drain_file, settings.drained_file):
        left.unlink(missing_ok=True)  # a node that is started is meant to take calls
    server: Server | None = None
    try:
        server = await open_server(settings)
        await Supervisor(settings, slots(settings)).run(stop)
    finally:
        (settings.run_dir / "ready").unlink(missing_ok=True)
        if server is not None:
            await server.stop()
        lock.release()


def main(role: str | None = None, index: int = 0) -> int:
    """Run the whole node, or one ``role`` of it, in the foreground. Returns the exit status."""
    if role is not None:
        return child.main([role, str(index)])
    settings = Settings()
    logs.configure("supervisor", settings.log_level)
    try:
        asyncio.run(_run_node(settings))
    except SivoError as error:
        print(str(error), file=sys.stderr)  # noqa: T201 - the operator's terminal, not a log
        return 1
    return 0

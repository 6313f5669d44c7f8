"""LISTEN on one dedicated connection that comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from sivo.base import logs

_log = logs.get("db")
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)


class Listener:
    """Delivers notifications; PostgreSQL drops those sent while nobody is connected (hence the empty payload)."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._callbacks: dict[str, list[Callable[[str], None]]] = {}
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._ready = asyncio.Event()

    async def add(self, channel: str, callback: Callable[[str], None]) -> None:
        """Register a callback; returns when LISTEN is in force, or after 5 s at most (then it follows on connect)."""
        known = channel in self._callbacks
        self._callbacks.setdefault(channel, []).append(callback)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="db-listen")
        elif not known and self._connection is not None and not self._connection.is_closed():
            await self._connection.add_listener(channel, self._deliver)
        try:
            await asyncio.wait_for(self._ready.wait(), 5)
        except TimeoutError:
            _log.warning("listen_waits_for_database", channel=channel)

    @property
    def connected(self) -> bool:
        """Whether LISTEN is in force on a connection that stands."""
        connection = self._connection
        return self._ready.is_set() and connection is not None and not connection.is_closed()

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _deliver(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        for callback in self._callbacks.get(channel, ()):
            callback(str(payload))

    async def _run(self) -> None:
        failures = 0
        first = True
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=5)
            except (OSError, TimeoutError, asyncpg.PostgresError) as error:
                if failures == 0:
                    _log.warning("listen_connection_failed", cause=type(error).__name__)
                await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
                failures += 1
                continue
            failures = 0
            await self._serve(connection, first=first)
            first = False
            await asyncio.sleep(_BACKOFF_S[0])

    async def _serve(self, connection: asyncpg.Connection[asyncpg.Record], *, first: bool) -> None:
        self._lost.clear()
        connection.add_termination_listener(lambda _c: self._lost.set())
        self._connection = connection
        try:
            for channel in list(self._callbacks):
                await connection.add_listener(channel, self._deliver)
            self._ready.set()
            if not first:
                for channel in list(self._callbacks):
                    self._deliver(connection, 0, channel, "")
            await self._lost.wait()
            _log.warning("listen_connection_lost")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("listen_connection_lost", cause=type(error).__name__)
        finally:
            self._ready.clear()
            self._connection = None
            connection.terminate()

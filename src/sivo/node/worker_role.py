"""The role ``worker``: durable jobs, each a row that is claimed, worked off and finished.

Nothing is held here that a kill would lose: a claimed row of a dead worker is claimed again when its claim runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sivo.base import logs
from sivo.base.errors import SivoError

log = logs.get("worker")

#: Seconds between looks when nobody rang; a notification wakes the loop at once.
_IDLE_SECONDS = 1.0
_RETENTION_SECONDS = 60.0
_FAULT_SECONDS = 2.0


class Loop:
    """Runs one kind of work until there is none, then waits for a wake-up or the idle time."""

    def __init__(self, name: str, work: Callable[[], Awaitable[bool]], idle_seconds: float = _IDLE_SECONDS) -> None:
        self.name = name
        self._work = work
        self._idle = idle_seconds
        self._wake = asyncio.Event()

    def wake(self, _payload: str = "") -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; the piece of work under way is finished first."""
        while not stop.is_set():
            self._wake.clear()
            try:
                if await self._work():
                    continue
                wait = self._idle
            except SivoError as error:
                log.warning("work waits", loop=self.name, code=error.code)
                wait = _FAULT_SECONDS
            except Exception:
                # One broken row must not end the role for every tenant; its claim runs out and it is counted.
                log.exception("work failed", loop=self.name)
                wait = _FAULT_SECONDS
            await _first_of(stop, self._wake, wait)


async def _first_of(stop: asyncio.Event, wake: asyncio.Event, seconds: float) -> None:
    waiters = [asyncio.create_task(event.wait()) for event in (stop, wake)]
    await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for waiter in waiters:
        waiter.cancel()

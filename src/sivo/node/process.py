"""One supervised child: start, readiness, death."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sivo.node.backoff import Backoff
from sivo.node.roles import Slot


def _once(arrived: asyncio.Future[None]) -> Callable[[], None]:
    def arrive() -> None:
        if not arrived.done():
            arrived.set_result(None)

    return arrive


@dataclass
class ChildProcess:
    """A role process and what the supervisor knows of it."""

    slot: Slot
    environment: dict[str, str]
    backoff: Backoff = field(default_factory=Backoff)
    process: asyncio.subprocess.Process | None = None
    started_at: float = 0.0
    #: How often it was started.
    starts: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    async def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches only the supervisor."""
        self.ready = asyncio.Event()
        read_end, write_end = os.pipe()
        environment = {
            **self.environment,
            "SIVO_READY_FD": str(write_end),
            "SIVO_SUPERVISOR_PID": str(os.getpid()),
            "SIVO_SUPERVISED": "true",
        }
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sivo.node.child",
                self.slot.role.name,
                str(self.slot.index),
                env=environment,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        finally:
            os.close(write_end)
        self.started_at = time.monotonic()
        self.starts += 1
        self._reader = asyncio.create_task(self._await_ready(read_end))

    async def _await_ready(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.add_reader(descriptor, _once(arrived))
        try:
            await arrived
            if os.read(descriptor, 16):
                self.ready.set()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def wait(self) -> int:
        """Exit status of the running process; negative = ended by that signal."""
        if self.process is None:
            raise RuntimeError(f"{self.slot.name} was never started")
        code = await self.process.wait()
        if self._reader is not None and not self._reader.done():
            self._reader.cancel()
        return code

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after the role's own limit. Nothing happens when it is already dead."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.slot.role.stop_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()

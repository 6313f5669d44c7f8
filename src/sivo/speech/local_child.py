"""One child process of the speech role: started on demand, one request at a time, restarted when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.speech.local_frames import frame_length, pack, unpack

_log = logs.get("speech")


class Child:
    """``python -m module`` behind two pipes. A request is one message; its answers end with one that has ``done``."""

    def __init__(self, module: str) -> None:
        self.module = module
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the process if it does not run."""
        if self._process is not None and self._process.returncode is None:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1024 * 1024,
        )

    async def ask(self, message: dict[str, Any], *, within: float) -> AsyncIterator[dict[str, Any]]:
        """Send one request and yield its answers; ``within`` seconds bound each of them.

        Raises ``UNAVAILABLE`` when the process died or hung (it is replaced at the next request). A caller that stops
        listening early leaves the rest to be read and dropped before the next request is sent.
        """
        async with self._lock:
            await self.start()
            finished = False
            try:
                await self._send(message)
                while not finished:
                    async with asyncio.timeout(within):
                        answer = await self._receive()
                    finished = bool(answer.get("done"))
                    yield answer
            except (asyncio.IncompleteReadError, OSError, ValueError) as error:  # TimeoutError is an OSError
                finished = True
                await self._discard(type(error).__name__)
                raise SivoError("UNAVAILABLE", f"{self.module} failed", remedy="repeat the request") from error
            finally:
                if not finished:
                    await self._drain(within)

    async def one(self, message: dict[str, Any], *, within: float) -> dict[str, Any]:
        """Send one request that has exactly one answer."""
        async with contextlib.aclosing(self.ask(message, within=within)) as answers:  # type: ignore[type-var]
            async for answer in answers:
                return answer
        raise SivoError("UNAVAILABLE", f"{self.module} gave no answer", remedy="repeat the request")

    async def stop(self) -> None:
        """End the process: by closing its input, after two seconds by force."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(2):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(pack(message))
        await self._process.stdin.drain()

    async def _receive(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        head = await self._process.stdout.readexactly(4)
        return unpack(await self._process.stdout.readexactly(frame_length(head)))

    async def _drain(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                while not (await self._receive()).get("done"):
                    pass
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:
            await self._discard(type(error).__name__)
        except asyncio.CancelledError:
            await self._discard("cancelled")
            raise

    async def _discard(self, why: str) -> None:
        _log.warning("speech child replaced", module=self.module, why=why)
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


class Pool:
    """Several children of one module behind a bounded queue; requests over the bound are refused at once."""

    def __init__(self, module: str, size: int, queue: int) -> None:
        self._children = [Child(module) for _ in range(size)]
        self._idle: asyncio.Queue[Child] = asyncio.Queue()
        for child in self._children:
            self._idle.put_nowait(child)
        self._room = size + queue
        self._inside = 0

    async def start(self, first: dict[str, Any], *, within: float) -> list[dict[str, Any]]:
        """Start all children and let each answer ``first``, so that no caller waits while a model is loaded."""
        return list(await asyncio.gather(*(child.one(first, within=within) for child in self._children)))

    async def stop(self) -> None:
        """End all children."""
        await asyncio.gather(*(child.stop() for child in self._children))

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Child]:
        """A child of one's own. Raises ``UNAVAILABLE`` when the queue is full."""
        if self._inside >= self._room:
            raise SivoError("UNAVAILABLE", "all workers are busy and the queue is full", remedy="repeat the request")
        self._inside += 1
        try:
            child = await self._idle.get()
            try:
                yield child
            finally:
                self._idle.put_nowait(child)
        finally:
            self._inside -= 1

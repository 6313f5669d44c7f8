"""The line to the media processes: connect, reconnect, send commands, match their answers, choose by load.

Commands on one line are carried out in the order in which they are sent, so a caller need not wait for one before it
sends the next; a lost line fails everything that is still unanswered at once.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.media import protocol as wire

MEDIA_BUSY = register("MEDIA_BUSY", 503)
MEDIA_GONE = register("MEDIA_GONE", 503)

RECONNECT_SECONDS = 0.1
log = logs.get("calls")


class MediaListener(Protocol):
    """Who hears what media processes say of their own accord."""

    def media_up(self, link: MediaLink, hello: wire.Hello) -> None:
        """A media process is there (again); ``hello.sessions`` are calls that it still carries."""
        ...

    def media_lost(self, link: MediaLink) -> None:
        """The line broke: the process is gone, and with it its sessions."""
        ...

    def media_fact(self, link: MediaLink, fact: wire.Fact) -> None:
        """Something that must be committed and then acknowledged."""
        ...

    def media_note(self, link: MediaLink, note: wire.Note) -> None:
        """Something of the moment."""
        ...


class MediaLink(asyncio.Protocol):
    """The line to one media process."""

    def __init__(self, index: int, path: Path, listener: MediaListener) -> None:
        self.index = index
        self.sessions: set[str] = set()
        self.hello: wire.Hello | None = None
        self._path = path
        self._listener = listener
        self._transport: asyncio.WriteTransport | None = None
        self._deframer = wire.Deframer()
        self._refs = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        #: What is said in this turn of the loop: one system call, and one wakeup of the process, for all of it.
        self._said: list[bytes] = []
        self._lost = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether the process has said hello and the line stands."""
        return self.hello is not None and self._transport is not None

    @property
    def room(self) -> int:
        """Calls that it still takes."""
        return self.hello.call_cap - len(self.sessions) if self.hello and self._transport else 0

    async def run(self) -> None:
        """Keep the line up until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await loop.create_unix_connection(lambda: self, str(self._path))
                    await self._lost.wait()
                except OSError:
                    pass
                # Also after a line that was closed at once: two of us at one process must not take turns without rest.
                await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            if self._transport is not None:
                self._flush()
                self._transport.close()

    def command(self, kind: type[Any], **fields: Any) -> asyncio.Future[dict[str, Any]]:
        """Send a command; the future gives its result or raises :class:`SivoError` (refused, or the line broke)."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            future.set_exception(_gone(self.index))
            return future
        ref = next(self._refs)
        self._waiting[ref] = future
        self._say(kind(ref=ref, **fields))
        return future

    def acknowledge(self, session: str, seq: int) -> None:
        """Facts up to ``seq`` are committed; without a line the process will not ask again, its journal is dropped."""
        if self._transport is not None:
            self._say(wire.Ack(session=session, seq=seq))

    def _say(self, message: wire.Command) -> None:
        if not self._said:
            asyncio.get_running_loop().call_soon(self._flush)
        self._said.append(wire.encode(message))

    def _flush(self) -> None:
        said, self._said = self._said, []
        if said and self._transport is not None:
            self._transport.write(b"".join(said))

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are not registered as asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._deframer = wire.Deframer()
        self._lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.hello = None
        self._said.clear()  # of a line that is gone; the next one must not hear it
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_gone(self.index))
        log.warning("media line lost", media=self.index, sessions=len(self.sessions))
        self._listener.media_lost(self)
        self.sessions.clear()
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._deframer.feed(data):
                self._receive(wire.event_decoder.decode(body))
        except (ValueError, msgspec.DecodeError) as error:
            log.error("media process speaks garbage", media=self.index, error=str(error))
            if self._transport is not None:
                self._transport.close()

    def _receive(self, event: wire.Event) -> None:
        match event:
            case wire.Done(ref=ref, result=result):
                self._settle(ref, result, None)
            case wire.Refused(ref=ref, code=code, message=message):
                self._settle(ref, {}, _refusal(code, message))
            case wire.Fact():
                self._listener.media_fact(self, event)
            case wire.Note():
                self._listener.media_note(self, event)
            case wire.Hello():
                self.hello = event
                self._listener.media_up(self, event)

    def _settle(self, ref: int, result: dict[str, Any], error: SivoError | None) -> None:
        future = self._waiting.pop(ref, None)
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


class MediaPool:
    """All media processes of this node."""

    def __init__(self, paths: list[Path], listener: MediaListener) -> None:
        self.links = [MediaLink(index, path, listener) for index, path in enumerate(paths)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._tasks = [asyncio.create_task(link.run(), name=f"media-link-{link.index}") for link in self.links]

    async def stop(self) -> None:
        """Let go of all lines."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def choose(self) -> MediaLink:
        """The process with most room; :class:`SivoError` ``MEDIA_BUSY`` when none has any."""
        best = max(self.links, key=lambda link: link.room, default=None)
        if best is None or best.room <= 0:
            raise SivoError(
                MEDIA_BUSY,
                "no media process takes another call",
                where="media",
                remedy="wait for calls to end, raise SIVO_MEDIA_CALL_CAP or SIVO_MEDIA_PROCESSES",
            )
        return best

    async def wait_ready(self, timeout: float) -> bool:
        """Wait until at least one process is there; False when none came within ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not any(link.ready for link in self.links):
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(0.02)
        return True


def _gone(index: int) -> SivoError:
    return SivoError(MEDIA_GONE, f"media process {index} is gone", where=f"media-{index}", remedy="it is restarted")


def _refusal(code: str, message: str) -> SivoError:
    try:
        return SivoError(code, message, where="media")
    except ValueError:
        return SivoError("UNAVAILABLE", f"{code}: {message}", where="media")

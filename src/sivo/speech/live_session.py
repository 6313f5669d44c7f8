"""Carries out what the core of a streaming engine wants: one socket at a time over the guarded client, one timer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sivo.base import logs
from sivo.outbound.client import GuardedClient, Limits
from sivo.outbound.failure import HandshakeRefused
from sivo.outbound.guard import GuardRefused
from sivo.outbound.websocket import Socket, SocketClosed
from sivo.speech.faults import ProviderError, explain
from sivo.speech.live import Connect, Effect, Hang, LiveCore, Transmit
from sivo.speech.stt import OnText

_TICK_S = 0.1
_DRAIN_S = 1.5
#: Messages that wait for a peer that does not read; more means that it is gone.
_BACKLOG = 3_000
_LIMITS = Limits(connect=3.0, max_bytes=1024 * 1024)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream is opened, and how its vendor words a refusal. ``refused`` and ``ended`` give the fault and
    whether trying again is useless."""

    url: str
    headers: dict[str, str] = field(repr=False)
    params: Sequence[tuple[str, str]]
    refused: Callable[[HandshakeRefused], tuple[ProviderError, bool]]
    ended: Callable[[SocketClosed], tuple[ProviderError, bool]]
    internal: bool = False


class LiveSession:
    """:class:`sivo.speech.stt.SttSession` over a streaming core."""

    def __init__(self, core: LiveCore, place: Place, http: GuardedClient, on_text: OnText) -> None:
        self._core = core
        self._place = place
        self._http = http
        self._on_text = on_text
        self._queue: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._old: set[asyncio.Task[None]] = set()
        self._closed = False
        self._log = logs.here("speech")
        self._done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_TICK_S, self._tick)
        self._do(core.start(_now_ms()))

    # --- SttSession -------------------------------------------------------------------------------------------------

    def audio(self, end_ms: int, ulaw: bytes, pcm16: bytes) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._do(self._core.audio(_now_ms(), end_ms, ulaw))

    def begin(self, segment: int, start_ms: float) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._do(self._core.begin(_now_ms(), segment, start_ms))

    def finish(self, segment: int, end_ms: float) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._do(self._core.finish(_now_ms(), segment, end_ms))

    def drop(self, segment: int) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._core.drop(segment)

    async def drain(self) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        if self._closed:
            return
        self._do(self._core.end(_now_ms()))
        try:
            await asyncio.wait_for(self._done.wait(), _DRAIN_S)
        except TimeoutError:
            self._log.warning("a speech-to-text stream did not end in time")

    async def close(self) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        if not self._closed:
            self._do(self._core.end(_now_ms()))
            await asyncio.sleep(0)  # the goodbye gets its chance
        self._closed = True
        self._done.set()
        self._timer.cancel()
        self._hang()
        if self._old:
            await asyncio.gather(*self._old, return_exceptions=True)

    # --- effects ----------------------------------------------------------------------------------------------------

    def _do(self, wanted: list[Effect]) -> None:
        for effect in wanted:
            if self._closed:
                return
            match effect:
                case Connect():
                    self._hang()
                    self._queue = asyncio.Queue()
                    self._task = self._loop.create_task(self._connection(self._queue), name="stt-line")
                case Transmit(message):
                    self._queue.put_nowait(message)
                case Hang():
                    self._hang()
                case _:
                    self._on_text(effect)
        if self._core.done:
            self._done.set()
        if self._queue.qsize() > _BACKLOG:
            self._hang()
            self._queue = asyncio.Queue()
            self._do(self._core.closed(_now_ms(), ProviderError("slow", "the engine does not read what it is sent")))

    def _hang(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            self._old.add(task)
            task.add_done_callback(self._old.discard)
            if task is not asyncio.current_task():
                task.cancel()

    def _tick(self) -> None:
        if self._closed:
            return
        self._timer = self._loop.call_later(_TICK_S, self._tick)
        self._do(self._core.tick(_now_ms()))

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _connection(self, queue: asyncio.Queue[str | bytes]) -> None:
        me = asyncio.current_task()
        place = self._place
        try:
            socket = await self._http.websocket(
                place.url, headers=place.headers, params=place.params, limits=_LIMITS, internal=place.internal
            )
        except Exception as error:
            if self._task is me:
                fault, fatal = self._refused(error)
                self._do(self._core.closed(_now_ms(), fault, fatal=fatal))
            return
        writer = self._loop.create_task(_write(socket, queue), name="stt-writer")
        try:
            if self._task is me:
                self._do(self._core.opened(_now_ms()))
            await self._read(socket, me)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await socket.close()

    async def _read(self, socket: Socket, me: asyncio.Task[None] | None) -> None:
        while self._task is me:
            message = await socket.receive()
            if self._task is not me:
                return
            if isinstance(message, SocketClosed):
                fault, fatal = self._place.ended(message)
                self._do(self._core.closed(_now_ms(), fault, fatal=fatal))
                return
            self._do(self._core.message(_now_ms(), message))

    def _refused(self, error: Exception) -> tuple[ProviderError, bool]:
        if isinstance(error, HandshakeRefused):
            return self._place.refused(error)
        return explain(error), isinstance(error, GuardRefused)


async def _write(socket: Socket, queue: asyncio.Queue[str | bytes]) -> None:
    while True:
        await socket.send(await queue.get())


def _now_ms() -> float:
    return time.monotonic() * 1000

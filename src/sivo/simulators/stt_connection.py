"""One WebSocket of a speech-to-text double: carries a pure stream out, writes the ledger, misbehaves when told to.

Faults that every protocol knows: ``refused`` and ``stalled`` instead of the handshake; ``cut``, ``garbage`` and
``silent`` (half-open) after ``after_ms`` of audio.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from sivo.simulators.script import Account, FaultOrder


@dataclass(frozen=True, slots=True)
class Say:
    """Send this as a text frame."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Offence:
    """The client did something that the documentation forbids."""

    what: str


Out = Say | Close | Offence


class Stream(Protocol):
    """The server's side of one protocol, without I/O; times in milliseconds."""

    @property
    def heard_ms(self) -> int:
        """Audio so far."""
        ...

    def binary(self, now_ms: float, data: bytes) -> list[Out]:
        """A binary frame."""
        ...

    def text(self, now_ms: float, raw: str) -> list[Out]:
        """A text frame."""
        ...

    def due(self, now_ms: float) -> list[Out]:
        """What is to be sent by now."""
        ...

    def next_due(self) -> float:
        """When :meth:`due` has something to say next."""
        ...


def now_ms() -> float:
    """The servers' clock."""
    return time.monotonic() * 1000


class Connection:
    """From the handshake to the close. ``faults``: what the protocol itself can do wrong in mid-stream, by name."""

    def __init__(
        self, request: web.Request, account: Account, protocol: str, faults: Mapping[str, Sequence[Out]]
    ) -> None:
        self.socket = web.WebSocketResponse(autoping=True)
        self.use = account.use(protocol, {"query": dict(request.query), "scheme": _scheme(request)})
        self._request = request
        self._account = account
        self._protocol = protocol
        self._faults = faults
        self.fault: FaultOrder | None = account.fault(protocol, self.use)
        self._silent = False

    def offence(self, what: str) -> None:
        """Write down what the client did wrong."""
        self._account.write(self._protocol, self.use, "offence", {"what": what})

    async def broken(self) -> web.Response | None:
        """Faults in place of the handshake."""
        kind = self.fault.kind if self.fault else ""
        if kind == "stalled":
            await asyncio.sleep(60)
        if kind in ("refused", "stalled"):
            self._abort()
            return web.Response(status=500)
        return None

    async def serve(self, make: Callable[[], tuple[Stream, list[Out]]]) -> web.StreamResponse:
        """Shake hands and run the stream; ``make`` gives it with what it says first."""
        await self.socket.prepare(self._request)
        stream, greeting = make()
        await self._carry_out(greeting)
        while not self.socket.closed:
            wait = max(0.001, (stream.next_due() - now_ms()) / 1000)
            try:
                message = await self.socket.receive(timeout=min(wait, 60.0))
            except TimeoutError:
                await self._carry_out(stream.due(now_ms()))
                continue
            if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                break
            await self._take(stream, message.data)
        self._account.write(self._protocol, self.use, "close", {"audio_ms": stream.heard_ms})
        return self.socket

    async def _take(self, stream: Stream, data: str | bytes) -> None:
        if isinstance(data, bytes):
            await self._carry_out(stream.binary(now_ms(), data))
        else:
            wanted = stream.text(now_ms(), data)
            told = {"text": data[:200], "audio_ms": stream.heard_ms}
            self._account.write(self._protocol, self.use, "message", told)
            await self._carry_out(wanted)
        await self._misbehave(stream.heard_ms)

    async def _carry_out(self, wanted: Sequence[Out]) -> None:
        for out in wanted:
            if isinstance(out, Offence):
                self.offence(out.what)
            elif self._silent or self.socket.closed:
                continue
            elif isinstance(out, Say):
                await self.socket.send_json(out.body)
            else:
                await self.socket.close(code=out.code, message=out.reason.encode())

    async def _misbehave(self, heard_ms: float) -> None:
        order = self.fault
        if order is None or heard_ms < order.after_ms:
            return
        self.fault = None
        if order.kind == "cut":
            self._abort()
        elif order.kind == "garbage":
            await self.socket.send_str("{this is not json")
        elif order.kind == "silent":
            self._silent = True
        else:
            await self._carry_out(self._faults.get(order.kind, ()))

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def _scheme(request: web.Request) -> str:
    return request.headers.get("Authorization", "").partition(" ")[0]

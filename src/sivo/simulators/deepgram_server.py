"""``GET /v1/listen``: Deepgram's live endpoint over :class:`~sivo.simulators.deepgram_stream.DeepgramStream`.

Faults (protocol ``deepgram``) before the stream: ``auth_error``, ``no_credit``, ``forbidden``, ``bad_request``,
``rate_limited``, ``server_error``, ``refused``, ``stalled``; ``after_ms`` of audio into it: ``cut``, ``net_0001``,
``data_0000``, ``net_0000``, ``garbage``, ``error_message``, ``silent``.
"""

from __future__ import annotations

import asyncio
import time
import uuid

import aiohttp
from aiohttp import web

from sivo.simulators.deepgram_query import BadQueryError, parse
from sivo.simulators.deepgram_stream import NET_0001, Close, DeepgramStream, Offence, Out, Say
from sivo.simulators.ear import Ear
from sivo.simulators.script import Account, FaultOrder, World

PROTOCOL = "deepgram"
#: What the service answers instead of a stream: status, err_code, err_msg.
REFUSALS = {
    "auth_error": (401, "INVALID_AUTH", "Invalid credentials."),
    "no_credit": (402, "ASR_PAYMENT_REQUIRED", "Project does not have enough credits."),
    "forbidden": (403, "INSUFFICIENT_PERMISSIONS", "Project does not have access to the requested model."),
    "bad_request": (400, "Bad Request", "Bad Request"),
    "rate_limited": (429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
    "server_error": (503, "INTERNAL_SERVER_ERROR", "Service unavailable."),
}
CLOSES = {
    "net_0001": Close(1011, NET_0001),
    "net_0000": Close(1011, "The service has not transmitted a Text frame to the client. See https://dpgr.am/net0000"),
    "data_0000": Close(1008, "The payload cannot be decoded as audio. See https://dpgr.am/data0000"),
}


def _now_ms() -> float:
    return time.monotonic() * 1000


def routes(world: World) -> list[web.RouteDef]:
    """The live endpoint."""

    async def listen(request: web.Request) -> web.StreamResponse:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        account = world.find(key) if kind in ("Token", "Bearer") else None
        if account is None:
            return refusal(*REFUSALS["auth_error"])
        use = account.use(PROTOCOL, {"query": dict(request.query), "scheme": kind})
        return await _Connection(request, account, use).serve()

    return [web.get("/v1/listen", listen)]


def refusal(status: int, code: str, message: str) -> web.Response:
    """An answer that is no stream; the reason is in the body and in a header, as the service does it."""
    request_id = str(uuid.uuid4())
    body = {"err_code": code, "err_msg": message, "request_id": request_id}
    return web.json_response(body, status=status, headers={"dg-error": message, "dg-request-id": request_id})


class _Connection:
    def __init__(self, request: web.Request, account: Account, use: int) -> None:
        self._request = request
        self._account = account
        self._use = use
        self._fault: FaultOrder | None = account.fault(PROTOCOL, use)
        self._socket = web.WebSocketResponse(autoping=True)
        self._heard_ms = 0.0
        self._silent = False

    async def serve(self) -> web.StreamResponse:
        refused = await self._refuse()
        if refused is not None:
            return refused
        try:
            query = parse(self._request.query.items())
        except BadQueryError as error:
            self._account.write(PROTOCOL, self._use, "offence", {"what": str(error)})
            return refusal(400, "INVALID_QUERY_PARAMETER", str(error))
        script = self._account.script.stt
        stream = DeepgramStream(query, script, Ear(script, self._account.memory), _now_ms())
        self._socket.headers["dg-request-id"] = stream.request_id
        await self._socket.prepare(self._request)
        await self._run(stream, 16 if query.encoding == "linear16" else 8)
        self._account.write(PROTOCOL, self._use, "close", {"audio_ms": self._heard_ms})
        return self._socket

    async def _refuse(self) -> web.Response | None:
        kind = self._fault.kind if self._fault else ""
        if kind in REFUSALS:
            return refusal(*REFUSALS[kind])
        if kind == "stalled":
            await asyncio.sleep(60)
        if kind in ("refused", "stalled") and self._request.transport is not None:
            self._request.transport.abort()
            return web.Response(status=500)
        return None

    async def _run(self, stream: DeepgramStream, bytes_per_ms: int) -> None:
        while not self._socket.closed:
            wait = max(0.0, stream.next_due() - _now_ms()) / 1000
            try:
                message = await self._socket.receive(timeout=min(wait, 60.0) or 0.001)
            except TimeoutError:
                await self._carry_out(stream.due(_now_ms()))
                continue
            if message.type is aiohttp.WSMsgType.BINARY:
                self._heard_ms += len(message.data) / bytes_per_ms
                await self._carry_out(stream.audio(_now_ms(), message.data))
                await self._misbehave()
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._account.write(
                    PROTOCOL, self._use, "message", {"text": message.data[:200], "audio_ms": self._heard_ms}
                )
                await self._carry_out(stream.text(_now_ms(), message.data))
            else:
                return

    async def _carry_out(self, wanted: list[Out]) -> None:
        for out in wanted:
            if isinstance(out, Offence):
                self._account.write(PROTOCOL, self._use, "offence", {"what": out.what})
            elif self._silent or self._socket.closed:
                continue
            elif isinstance(out, Say):
                await self._socket.send_json(out.body)
            else:
                await self._socket.close(code=out.code, message=out.reason.encode())

    async def _misbehave(self) -> None:
        order = self._fault
        if order is None or self._heard_ms < order.after_ms:
            return
        self._fault = None
        if order.kind == "cut" and self._request.transport is not None:
            self._request.transport.abort()
        elif order.kind in CLOSES:
            await self._carry_out([CLOSES[order.kind]])
        elif order.kind == "garbage":
            await self._socket.send_str("{this is not json")
        elif order.kind == "error_message":
            description = "The server could not process the audio."
            await self._socket.send_json({"type": "Error", "variant": "ASR", "description": description, "message": ""})
        elif order.kind == "silent":
            self._silent = True

"""``GET /v1/listen``: Deepgram's live endpoint over :class:`~sivo.simulators.deepgram_stream.DeepgramStream`.

Faults (protocol ``deepgram``) before the stream: ``auth_error``, ``no_credit``, ``forbidden``, ``bad_request``,
``rate_limited``, ``server_error``, ``refused``, ``stalled``; ``after_ms`` of audio into it: ``cut``, ``net_0001``,
``data_0000``, ``net_0000``, ``garbage``, ``error_message``, ``silent``.
"""

from __future__ import annotations

import uuid

from aiohttp import web

from sivo.simulators.deepgram_query import BadQueryError, parse
from sivo.simulators.deepgram_stream import NET_0001, DeepgramStream
from sivo.simulators.ear import Ear
from sivo.simulators.script import World
from sivo.simulators.stt_connection import Close, Connection, Out, Say, Stream, now_ms

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
_ERROR = {"type": "Error", "variant": "ASR", "description": "The server could not process the audio.", "message": ""}
FAULTS: dict[str, list[Out]] = {
    "net_0001": [Close(1011, NET_0001)],
    "net_0000": [
        Close(1011, "The service has not transmitted a Text frame to the client. See https://dpgr.am/net0000")
    ],
    "data_0000": [Close(1008, "The payload cannot be decoded as audio. See https://dpgr.am/data0000")],
    "error_message": [Say(_ERROR)],
}


def routes(world: World) -> list[web.RouteDef]:
    """The live endpoint."""

    async def listen(request: web.Request) -> web.StreamResponse:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        account = world.find(key) if kind in ("Token", "Bearer") else None
        if account is None:
            return refusal(*REFUSALS["auth_error"])
        connection = Connection(request, account, PROTOCOL, FAULTS)
        if connection.fault is not None and connection.fault.kind in REFUSALS:
            return refusal(*REFUSALS[connection.fault.kind])
        broken = await connection.broken()
        if broken is not None:
            return broken
        try:
            query = parse(request.query.items())
        except BadQueryError as error:
            connection.offence(str(error))
            return refusal(400, "INVALID_QUERY_PARAMETER", str(error))
        script, memory, request_id = account.script.stt, account.memory, str(uuid.uuid4())
        connection.socket.headers["dg-request-id"] = request_id

        def make() -> tuple[Stream, list[Out]]:
            return DeepgramStream(query, script, Ear(script, memory), now_ms(), request_id), []

        return await connection.serve(make)

    return [web.get("/v1/listen", listen)]


def refusal(status: int, code: str, message: str) -> web.Response:
    """An answer that is no stream; the reason is in the body and in a header, as the service does it."""
    request_id = str(uuid.uuid4())
    body = {"err_code": code, "err_msg": message, "request_id": request_id}
    return web.json_response(body, status=status, headers={"dg-error": message, "dg-request-id": request_id})

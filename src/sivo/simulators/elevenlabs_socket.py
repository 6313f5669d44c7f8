"""The multi-context sockets: ``/v1/text-to-speech/{voice}/multi-stream-input`` and
``/v1/text-to-dialogue/multi-stream-input``.

Faults (protocols ``elevenlabs_ws`` and ``elevenlabs_dialogue``): at the handshake the names of
:data:`~sivo.simulators.elevenlabs_voices.REFUSALS`, ``refused`` and ``stalled``; ``after_ms`` of audio ``cut``,
``stall`` (of that context), ``garbage``, ``error`` (quota_exceeded on the socket) and ``closed`` (1008);
``late_audio``: a context goes on after its ``isFinal``.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp import web

from sivo.simulators.elevenlabs_stream import Close, Contexts, End, Make, Offence, Order, Say
from sivo.simulators.elevenlabs_voices import (
    MODELS,
    REFUSALS,
    Piece,
    RefusedError,
    account_of,
    check_model,
    check_voice,
    format_of,
    pieces,
    spoken,
)
from sivo.simulators.script import Account, World

SPEECH, DIALOGUE = "elevenlabs_ws", "elevenlabs_dialogue"
_QUERY = {
    "model_id",
    "output_format",
    "language_code",
    "enable_logging",
    "enable_ssml_parsing",
    "inactivity_timeout",
    "sync_alignment",
    "auto_mode",
    "apply_text_normalization",
    "apply_language_text_normalization",
    "seed",
}
_STALL_S = 60.0


def routes(world: World) -> list[web.RouteDef]:
    """Both sockets."""

    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            account = account_of(request, world.find)
            return await _Connection(request, account).serve()
        except RefusedError as error:
            return error.response()

    return [
        web.get("/v1/text-to-speech/{voice}/multi-stream-input", serve),
        web.get("/v1/text-to-dialogue/multi-stream-input", serve),
    ]


class _Connection:
    def __init__(self, request: web.Request, account: Account) -> None:
        self._request = request
        self._account = account
        self._dialogue = "voice" not in request.match_info
        self._protocol = DIALOGUE if self._dialogue else SPEECH
        query = request.query
        self._use = account.use(self._protocol, {"voice": request.match_info.get("voice", ""), "query": dict(query)})
        self._fault = account.fault(self._protocol, self._use)
        self._contexts = Contexts(dialogue=self._dialogue, auto_mode=query.get("auto_mode") == "true")
        self._socket = web.WebSocketResponse(autoping=True)
        self._work: dict[str, asyncio.Queue[Make | End]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent_ms = 0.0
        self._kind, self._rate = "pcm", 16_000

    async def serve(self) -> web.StreamResponse:
        try:
            self._check()
        except RefusedError as error:
            self._account.write(self._protocol, self._use, "offence", {"what": error.message})
            raise
        await self._refuse()
        await self._socket.prepare(self._request)
        idle = float(self._request.query.get("inactivity_timeout", "20"))
        try:
            await self._listen(idle)
        finally:
            for task in self._tasks:
                task.cancel()
        self._account.write(self._protocol, self._use, "close", {"audio_ms": self._sent_ms})
        return self._socket

    def _check(self) -> None:
        query = self._request.query
        unknown = sorted(set(query) - _QUERY)
        if unknown:
            raise RefusedError(400, "invalid_parameters", f"{unknown[0]} is not a parameter")
        model = query.get("model_id", "eleven_multilingual_v2")
        check_model(self._account, model, query.get("language_code"))
        late = MODELS.get(model, (False, True))[0]
        if self._dialogue != late or (self._dialogue and not self._account.script.tts.dialogue):
            raise RefusedError(403, "forbidden", f"{model} is not served here")
        if not self._dialogue:
            check_voice(self._account, self._request.match_info["voice"])
        self._kind, self._rate = format_of(query.get("output_format", "pcm_16000"))
        if not 1 <= int(query.get("inactivity_timeout", "20")) <= 180:
            raise RefusedError(400, "invalid_parameters", "inactivity_timeout is from 1 to 180")

    async def _refuse(self) -> None:
        kind = self._fault.kind if self._fault else ""
        if kind in REFUSALS:
            status, message = REFUSALS[kind]
            raise RefusedError(status, kind, message)
        if kind == "stalled":
            await asyncio.sleep(_STALL_S)
        if kind in ("refused", "stalled"):
            self._abort()
            raise RefusedError(500, "internal_server_error", "")

    async def _listen(self, idle: float) -> None:
        while not self._socket.closed:
            try:
                message = await self._socket.receive(timeout=idle)
            except TimeoutError:
                reason = b"input_timeout_exceeded: no input within the inactivity timeout"
                await self._socket.close(code=1008, message=reason)
                return
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            self._account.write(self._protocol, self._use, "message", {"text": message.data[:500]})
            await self._carry_out(self._contexts.take(message.data))

    async def _carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, Offence):
                self._account.write(self._protocol, self._use, "offence", {"what": order.what})
            elif isinstance(order, Make | End):
                self._queue(order.context).put_nowait(order)
            elif self._socket.closed:
                continue
            elif isinstance(order, Say):
                await self._socket.send_json(order.body)
            else:
                await self._close(order)

    async def _close(self, order: Close) -> None:
        await self._socket.close(code=order.code, message=order.reason.encode())

    def _queue(self, context: str) -> asyncio.Queue[Make | End]:
        if context not in self._work:
            self._work[context] = asyncio.Queue()
            task = asyncio.create_task(self._serve_context(context))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._work[context]

    async def _serve_context(self, context: str) -> None:
        queue = self._work[context]
        while True:
            order = await queue.get()
            if isinstance(order, End):
                break
            await self._speak(context, order.text)
        await asyncio.sleep(self._account.script.tts.final_ms / 1000)
        await self._send(self._final(context))
        del self._work[context]
        await self._carry_out(self._contexts.over(context))
        if self._fault is not None and self._fault.kind == "late_audio":
            for piece in pieces(await spoken(self._request, self._account, "Too late.", self._rate), self._kind):
                await self._send(self._audio(context, piece))

    async def _speak(self, context: str, text: str) -> None:
        script = self._account.script.tts
        sound = await spoken(self._request, self._account, text, self._rate)
        await asyncio.sleep(script.first_byte_ms / 1000)
        for piece in pieces(sound, self._kind):
            await self._misbehave()
            await self._send(self._audio(context, piece))
            self._sent_ms += len(piece.audio) / (2 if self._kind == "pcm" else 1) / self._rate * 1000
            await asyncio.sleep(script.piece_every_ms / 1000)

    async def _misbehave(self) -> None:
        fault = self._fault
        if fault is None or fault.kind == "late_audio" or self._sent_ms < fault.after_ms:
            return
        self._fault = None
        if fault.kind == "cut":
            self._abort()
        elif fault.kind == "stall":
            await asyncio.sleep(_STALL_S)
        elif fault.kind == "garbage":
            await self._socket.send_str("{this is not json")
        elif fault.kind == "error":
            error = {"message": "This request exceeds your quota.", "error": "quota_exceeded", "code": 1008}
            await self._send(error | ({"param": None} if self._dialogue else {}))
        elif fault.kind == "closed":
            await self._close(Close(1008, "quota_exceeded: This request exceeds your quota."))

    def _audio(self, context: str, piece: Piece) -> dict[str, Any]:
        if self._dialogue:
            aligned: dict[str, Any] | None = {
                "chars": piece.characters,
                "char_start_times_ms": piece.starts_ms,
                "char_durations_ms": piece.durations_ms,
            }
            if self._request.query.get("sync_alignment") != "true":
                aligned = None
            return {"context_id": context, "audio": piece.base64, "alignment": aligned, "is_final": None}
        times = {"charStartTimesMs": piece.starts_ms, "charDurationsMs": piece.durations_ms, "chars": piece.characters}
        return {
            "audio": piece.base64,
            "isFinal": None,
            "alignment": times,
            "normalizedAlignment": times,
            "contextId": context,
        }

    def _final(self, context: str) -> dict[str, Any]:
        return {"context_id": context, "is_final": True} if self._dialogue else {"contextId": context, "isFinal": True}

    async def _send(self, body: dict[str, Any]) -> None:
        if not self._socket.closed:
            await self._socket.send_json(body)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

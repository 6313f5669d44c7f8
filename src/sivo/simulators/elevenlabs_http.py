"""``POST /v1/text-to-speech/{voice}``, ``…/stream`` and ``…/stream/with-timestamps``.

Faults (protocol ``elevenlabs_http``): the names of :data:`~sivo.simulators.elevenlabs_voices.REFUSALS`, ``stalled``
(no answer), ``refused`` (cut before one), ``garbage`` (a page instead of audio), and ``after_ms`` of audio ``cut`` and
``stall``.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

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
from sivo.simulators.script import Account, FaultOrder, World

PROTOCOL = "elevenlabs_http"
_FIELDS = {
    "text",
    "model_id",
    "language_code",
    "voice_settings",
    "pronunciation_dictionary_locators",
    "seed",
    "previous_text",
    "next_text",
    "previous_request_ids",
    "next_request_ids",
    "use_pvc_as_ivc",
    "apply_text_normalization",
    "apply_language_text_normalization",
}
_NOT_V3 = ("previous_text", "next_text", "previous_request_ids", "next_request_ids")
_STALL_S = 60.0


def routes(world: World) -> list[web.RouteDef]:
    """The three endpoints."""

    async def speak(request: web.Request) -> web.StreamResponse:
        try:
            account = account_of(request, world.find)
            return await _Request(request, account).serve()
        except RefusedError as error:
            return error.response()

    base = "/v1/text-to-speech/{voice}"
    return [web.post(path, speak) for path in (base, f"{base}/stream", f"{base}/stream/with-timestamps")]


class _Request:
    def __init__(self, request: web.Request, account: Account) -> None:
        self._request = request
        self._account = account

    async def serve(self) -> web.StreamResponse:
        request, account = self._request, self._account
        voice = request.match_info["voice"]
        shape = request.query.get("output_format", "mp3_44100_128")
        data = await request.read()
        use = account.use(PROTOCOL, {"path": request.path, "voice": voice, "output_format": shape})
        try:
            body = _body(data)
            account.write(PROTOCOL, use, "request", body)
            check_voice(account, voice)
            check_model(account, body.get("model_id", "eleven_multilingual_v2"), body.get("language_code"))
            kind, rate = format_of(shape)
        except RefusedError as error:
            account.write(PROTOCOL, use, "offence", {"what": error.message})
            raise
        fault = account.fault(PROTOCOL, use)
        await self._fail(fault)
        sound = await spoken(request, account, body["text"], rate)
        await asyncio.sleep(account.script.tts.first_byte_ms / 1000)
        lines = request.path.endswith("/with-timestamps")
        response = web.StreamResponse(headers={"Content-Type": "application/json" if lines else "audio/basic"})
        await response.prepare(request)
        sent_ms = 0.0
        for piece in pieces(sound, kind):
            if await self._misbehave(fault, sent_ms):
                return response
            await response.write(_line(piece) if lines else piece.audio)
            sent_ms += _ms(piece.audio, kind, rate)
            await asyncio.sleep(account.script.tts.piece_every_ms / 1000)
        return response

    async def _fail(self, fault: FaultOrder | None) -> None:
        kind = fault.kind if fault else ""
        if kind in REFUSALS:
            status, message = REFUSALS[kind]
            raise RefusedError(status, kind, message)
        if kind == "stalled":
            await asyncio.sleep(_STALL_S)
        if kind in ("stalled", "refused"):
            self._abort()
            raise RefusedError(500, "internal_server_error", "")
        if kind == "garbage":
            raise web.HTTPOk(text="<html>down for maintenance</html>", content_type="text/html")

    async def _misbehave(self, fault: FaultOrder | None, sent_ms: float) -> bool:
        if fault is None or fault.kind not in ("cut", "stall") or sent_ms < fault.after_ms:
            return False
        if fault.kind == "stall":
            await asyncio.sleep(_STALL_S)
        self._abort()
        return True

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def _ms(audio: bytes, kind: str, rate: int) -> float:
    return len(audio) / (2 if kind == "pcm" else 1) / rate * 1000


def _body(data: bytes) -> dict[str, Any]:
    try:
        body: Any = json.loads(data)
    except ValueError as error:
        raise RefusedError(422, "invalid_json", "The body is not JSON.") from error
    if not isinstance(body, dict) or not isinstance(body.get("text"), str) or not body["text"].strip():
        raise RefusedError(400, "empty_text", "text is required and must not be empty.")
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise RefusedError(422, "unprocessable_entity", f"{unknown[0]} is not a field of this request.")
    if MODELS.get(str(body.get("model_id")), (False, False))[0]:
        for name in _NOT_V3:
            if body.get(name):
                raise RefusedError(400, "unsupported_model", f"{name} is not supported by {body['model_id']}.")
    return body


def _line(piece: Piece) -> bytes:
    alignment = {
        "characters": piece.characters,
        "character_start_times_seconds": [at / 1000 for at in piece.starts_ms],
        "character_end_times_seconds": [
            (at + length) / 1000 for at, length in zip(piece.starts_ms, piece.durations_ms, strict=True)
        ],
    }
    line = {"audio_base64": piece.base64, "alignment": alignment, "normalized_alignment": alignment}
    return json.dumps(line).encode() + b"\n"

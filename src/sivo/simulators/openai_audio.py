"""``POST /v1/audio/speech`` (24 kHz PCM or WAV) and ``POST /v1/audio/transcriptions``.

Faults beside those of :mod:`~sivo.simulators.openai_errors`: ``cut`` in the middle of the audio.

Source: platform.openai.com/docs/api-reference/audio.
"""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any

from aiohttp import web

from sivo.simulators.elevenlabs_voices import spoken
from sivo.simulators.openai_errors import RefusedError, abort, account_of, bad, check_model, fail, json_body
from sivo.simulators.script import Account, World
from sivo.speech.local_audio import wav_header

SPEECH, TRANSCRIPTION = "openai_speech", "openai_transcription"
_RATE = 24_000
_PIECE = 4_800
_FIELDS = {"file", "model", "language", "prompt", "response_format", "temperature", "timestamp_granularities[]"}


def routes(world: World) -> list[web.RouteDef]:
    """Both endpoints."""

    async def speech(request: web.Request) -> web.StreamResponse:
        try:
            return await _speech(request, account_of(request, world))
        except RefusedError as error:
            return error.response()

    async def transcription(request: web.Request) -> web.StreamResponse:
        try:
            return await _transcription(request, account_of(request, world))
        except RefusedError as error:
            return error.response()

    return [web.post("/v1/audio/speech", speech), web.post("/v1/audio/transcriptions", transcription)]


async def _speech(request: web.Request, account: Account) -> web.StreamResponse:
    data = await request.read()
    use = account.use(SPEECH, {})
    script = account.script.tts
    try:
        body = json_body(
            data, {"model", "input", "voice"}, {"response_format", "speed", "instructions", "stream_format"}
        )
        account.write(SPEECH, use, "request", body)
        if not isinstance(body["input"], str) or not 0 < len(body["input"].strip()) <= 4096:
            raise bad("input has from 1 to 4096 characters")
        if body.get("response_format", "mp3") not in ("pcm", "wav"):
            raise bad("this double makes pcm and wav")
        if script.voices and body["voice"] not in script.voices:
            raise bad(f"{body['voice']} is not a voice")
    except RefusedError as error:
        account.write(SPEECH, use, "offence", {"what": error.message})
        raise
    check_model(account, body["model"], script.models)
    fault = account.fault(SPEECH, use)
    await fail(request, fault)
    sound = await spoken(request, account, body["input"], _RATE)
    await asyncio.sleep(script.first_byte_ms / 1000)
    wav = body.get("response_format") == "wav"
    response = web.StreamResponse(headers={"Content-Type": "audio/wav" if wav else "audio/pcm"})
    await response.prepare(request)
    if wav:
        await response.write(wav_header(_RATE))
    for start in range(0, len(sound.pcm16), _PIECE):
        if fault is not None and fault.kind == "cut" and start >= len(sound.pcm16) // 2:
            abort(request)
            return response
        await response.write(sound.pcm16[start : start + _PIECE])
        await asyncio.sleep(script.piece_every_ms / 1000)
    return response


async def _transcription(request: web.Request, account: Account) -> web.StreamResponse:
    form = await request.post()
    use = account.use(TRANSCRIPTION, {})
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    account.write(TRANSCRIPTION, use, "request", dict(fields))
    try:
        ms = _check(form, fields)
    except RefusedError as error:
        account.write(TRANSCRIPTION, use, "offence", {"what": error.message})
        raise
    check_model(account, fields.get("model"), [])
    await fail(request, account.fault(TRANSCRIPTION, use))
    heard = int(account.memory.get(TRANSCRIPTION, 0))
    account.memory[TRANSCRIPTION] = heard + 1
    said = account.script.stt.utterances
    text = said[min(heard, len(said) - 1)] if said else ""
    await asyncio.sleep(account.script.stt.final_delay_ms / 1000)
    shape = fields.get("response_format", "json")
    if shape == "text":
        return web.Response(text=text + "\n")
    if shape == "verbose_json":
        more: dict[str, Any] = {"task": "transcribe", "language": fields.get("language", "english")}
        return web.json_response(more | {"duration": ms / 1000, "text": text, "segments": []})
    return web.json_response({"text": text, "usage": {"type": "duration", "seconds": ms // 1000}})


def _check(form: Any, fields: dict[str, str]) -> int:
    """Length of the audio in ms."""
    for name in sorted(set(form) - _FIELDS):
        raise bad(f"Unknown parameter: '{name}'.")
    file = form.get("file")
    if not isinstance(file, web.FileField):
        raise bad("file is missing")
    if fields.get("response_format", "json") not in ("json", "text", "verbose_json"):
        raise bad("response_format is json, text or verbose_json here")
    language = fields.get("language", "en")
    if len(language) != 2 or not language.islower():
        raise bad("language is an ISO 639-1 code")
    try:
        with wave.open(io.BytesIO(file.file.read())) as sound:
            return int(sound.getnframes() * 1000 // sound.getframerate())
    except (wave.Error, EOFError) as error:
        raise bad("Audio file might be corrupted or unsupported.") from error

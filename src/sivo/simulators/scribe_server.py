"""``GET /v1/speech-to-text/realtime``: ElevenLabs Scribe v2 realtime.

Faults (protocol ``scribe``): those of every stream, ``duplicate`` (committed transcripts come twice), and every
documented error by its name, ``after_ms`` of audio into the stream; ``http_401``, ``http_403``, ``http_429`` and
``http_500`` instead of the handshake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from aiohttp import web

from sivo.simulators.ear import Ear
from sivo.simulators.scribe_stream import ScribeStream, Settings
from sivo.simulators.script import Account, World
from sivo.simulators.stt_connection import Close, Connection, Out, Say, Stream, now_ms

PROTOCOL = "scribe"
MODELS = ("scribe_v2_realtime", "scribe_v3_live")
#: Errors after which the stream goes on.
_MILD = ("commit_throttled", "insufficient_audio_activity")
#: Errors that end it.
_SEVERE = (
    *("auth_error", "quota_exceeded", "transcriber_error", "unaccepted_terms", "rate_limited", "input_error"),
    *("invalid_request", "queue_overflow", "resource_exhausted", "session_time_limit_exceeded"),
    *("chunk_size_exceeded", "error"),
)


def _error(kind: str) -> list[Out]:
    said: Out = Say({"message_type": kind, "error": f"simulated {kind}"})
    return [said] if kind in _MILD else [said, Close(1008, kind)]


FAULTS: dict[str, list[Out]] = {kind: _error(kind) for kind in (*_MILD, *_SEVERE)}


def _range(low: float, high: float) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(r"\d+(\.\d+)?", value) is not None and low <= float(value) <= high


def _one_of(*allowed: str) -> Callable[[str], bool]:
    return lambda value: value in allowed


_FLAG = _one_of("true", "false", "True", "False")
_QUERY: dict[str, Callable[[str], bool]] = {
    "model_id": _one_of(*MODELS),
    "audio_format": _one_of("ulaw_8000", "pcm_8000"),
    "commit_strategy": _one_of("manual", "vad"),
    "language_code": lambda value: re.fullmatch(r"[a-z]{2,3}", value) is not None,
    "secondary_languages": lambda value: re.fullmatch(r"[a-z]{2,3}", value) is not None,
    "keyterms": lambda value: len(value) <= 20,
    **dict.fromkeys(("include_timestamps", "include_language_detection", "no_verbatim", "enable_logging"), _FLAG),
    "filter_background_audio": _FLAG,
    "vad_silence_threshold_secs": _range(0.3, 3.0),
    "vad_threshold": _range(0.1, 0.9),
    "min_speech_duration_ms": _range(50, 2000),
    "min_silence_duration_ms": _range(50, 2000),
}


def parse(pairs: Iterable[tuple[str, str]]) -> Settings:
    """Read the query; ``ValueError`` names what is wrong with it."""
    got = dict(pairs)
    for name, value in got.items():
        if name not in _QUERY or not _QUERY[name](value):
            raise ValueError(f"{name}={value!r} is not valid")
    if "model_id" not in got:
        raise ValueError("model_id is missing")
    if got.get("audio_format", "pcm_16000") not in ("ulaw_8000", "pcm_8000"):
        raise ValueError("this double hears ulaw_8000 and pcm_8000")
    return Settings(
        model_id=got["model_id"],
        audio_format=got["audio_format"],
        commit_strategy=got.get("commit_strategy", "manual"),
        language_code=got.get("language_code", ""),
        include_timestamps=got.get("include_timestamps", "false").lower() == "true",
        vad_silence_threshold_secs=float(got.get("vad_silence_threshold_secs", 1.5)),
    )


def routes(world: World) -> list[web.RouteDef]:
    """The realtime endpoint."""

    async def realtime(request: web.Request) -> web.StreamResponse:
        account = world.find(request.headers.get("xi-api-key", ""))
        if account is None:
            return await _refuse(request, "auth_error", "invalid API key")
        connection = Connection(request, account, PROTOCOL, FAULTS)
        status = re.fullmatch(r"http_(\d+)", connection.fault.kind if connection.fault else "")
        if status is not None:
            return web.json_response({"detail": {"status": "refused"}}, status=int(status[1]))
        broken = await connection.broken()
        if broken is not None:
            return broken
        try:
            settings = parse(request.query.items())
        except ValueError as error:
            connection.offence(str(error))
            return await _refuse(request, "invalid_request", str(error))
        return await connection.serve(lambda: _stream(connection, settings, account))

    return [web.get("/v1/speech-to-text/realtime", realtime)]


def _stream(connection: Connection, settings: Settings, account: Account) -> tuple[Stream, list[Out]]:
    twice = connection.fault is not None and connection.fault.kind == "duplicate"
    script = account.script.stt
    stream = ScribeStream(settings, script, Ear(script, account.memory), now_ms(), twice=twice)
    return stream, stream.greeting()


async def _refuse(request: web.Request, kind: str, text: str) -> web.StreamResponse:
    """The service accepts the socket and says in it why it will not serve."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"message_type": kind, "error": text})
    await socket.close(code=1008, message=kind.encode())
    return socket

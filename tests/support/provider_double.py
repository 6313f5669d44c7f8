"""A strict OpenAI-compatible server on loopback: transcription, chat and speech, each request written down.

It is scripted per API key, so that many tenants can use it at once and none hears another's script. Whatever the
published protocol does not allow is answered with 4xx and kept in :attr:`Account.offences`; a test that ends with any
of those has found a bug. The text of a synthesis request decides the pitch of the tone that it gets, so that a phone
can tell by ear which sentence it is hearing.

Sources: platform.openai.com/docs/api-reference (audio/createTranscription, chat/create, audio/createSpeech).
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import secrets
import socket
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

STT, LLM, TTS = "stt", "llm", "tts"
#: Ways to fail. ``refused`` is not among them: that is :attr:`Double.closed_url`, where nobody listens.
SLOW, CUT, BROKEN, GARBAGE = "slow", "cut", "broken", "garbage"
#: Not failures of the kind above: an answer that comes, but late; a model that is not served (any more).
LATE, GONE = "late", "gone"
#: Longer than any caller waits; and longer than a caller should be left in silence.
_SLOW_S, _LATE_S = 30.0, 3.0
_RATE = 24_000
_ISO_639_1 = re.compile(r"[a-z]{2}")


@dataclass(frozen=True)
class Sound:
    """What a sentence sounds like: a tone of ``hertz`` for ``ms``."""

    hertz: int = 400
    ms: int = 500

    def pcm16(self, rate: int = _RATE) -> bytes:
        """The tone, soft at both ends."""
        time_s = np.arange(rate * self.ms // 1000) / rate
        edge = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / 0.005)
        return (9000 * edge * np.sin(2 * np.pi * self.hertz * time_s)).astype("<i2").tobytes()


@dataclass
class Asked:
    """One request as it came in. ``fields`` are its parameters, and ``base_url`` where it was sent; ``size`` the bytes
    of audio or JSON that it brought."""

    stage: str
    fields: dict[str, Any]
    size: int
    at: float
    #: Whether the client left before it had the whole answer.
    abandoned: bool = False

    @property
    def model(self) -> str:
        """Every stage has one."""
        return str(self.fields["model"])


@dataclass
class Account:
    """One API key: what it is answered, and what it has asked."""

    key: str
    #: Transcripts in the order of the requests; after the last one nothing is understood any more.
    heard: list[str] = field(default_factory=list)
    #: Answers of the model in order: words, or a whole JSON object. The last one is given again.
    replies: list[str | dict[str, Any]] = field(default_factory=list)
    sounds: dict[str, Sound] = field(default_factory=dict)
    #: How a stage fails from now on, and for which requests.
    faults: dict[str, tuple[str, Callable[[Asked], bool]]] = field(default_factory=dict)
    ledger: list[Asked] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)

    def fail(self, stage: str, how: str, when: Callable[[Asked], bool] = lambda asked: True) -> None:
        """Let requests of ``stage`` fail."""
        self.faults[stage] = (how, when)

    def asked(self, stage: str) -> list[Asked]:
        """The requests of one stage."""
        return [one for one in self.ledger if one.stage == stage]

    def values(self, stage: str, name: str) -> set[Any]:
        """Every value that a parameter has had."""
        return {one.fields.get(name) for one in self.asked(stage)}


class _OffenceError(Exception):
    """The request is not what the protocol allows."""


class Double:
    """The server. ``url`` is its base URL; at ``closed_url`` connections are refused, and so they are at ``url``
    after :meth:`stop`. Two servers of one test share ``accounts``."""

    def __init__(self, port: int, closed_port: int, accounts: dict[str, Account] | None = None) -> None:
        self.port, self.closed_port = port, closed_port
        self.url = f"http://127.0.0.1:{port}/v1"
        #: The same server under another base URL.
        self.other_url = f"http://127.0.0.1:{port}/other/v1"
        self.closed_url = f"http://127.0.0.1:{closed_port}/v1"
        self.accounts: dict[str, Account] = {} if accounts is None else accounts
        self._runner: web.AppRunner | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on a socket."""
        self._runner = web.AppRunner(
            self.application(), handler_cancellation=True, shutdown_timeout=0.2, access_log=None
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Close every connection and the door."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def account(self) -> Account:
        """A new key with an empty script."""
        made = Account("sk-double-" + secrets.token_hex(8))
        self.accounts[made.key] = made
        return made

    def application(self) -> web.Application:
        """The three endpoints; a client may also knock at the base URL to open its connection."""
        application = web.Application(client_max_size=32 * 1024 * 1024)
        for base in ("/v1", "/other/v1"):
            application.router.add_route("HEAD", base, _knock)
            application.router.add_post(f"{base}/audio/transcriptions", self._endpoint(STT, _read_audio, _transcribe))
            application.router.add_post(f"{base}/chat/completions", self._endpoint(LLM, _read_chat, _chat))
            application.router.add_post(f"{base}/audio/speech", self._endpoint(TTS, _read_speech, _speak))
        return application

    def _endpoint(self, stage: str, read: _Read, answer: _Answer) -> Callable[[web.Request], Awaitable[Any]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            account = self.accounts.get(key)
            if scheme != "Bearer" or account is None:
                return _error(401, "invalid_api_key", "Incorrect API key provided.")
            try:
                fields, size = await read(request)
            except _OffenceError as offence:
                account.offences.append(f"{stage}: {offence}")
                return _error(400, "invalid_request_error", str(offence))
            fields["base_url"] = self.other_url if request.path.startswith("/other/") else self.url
            asked = Asked(stage, fields, size, time.monotonic())
            account.ledger.append(asked)
            how, when = account.faults.get(stage, ("", lambda asked: False))
            try:
                return await answer(request, account, asked, how if when(asked) else "")
            except (ConnectionError, asyncio.CancelledError):
                asked.abandoned = True
                raise

        return handle


_Read = Callable[[web.Request], Awaitable[tuple[dict[str, Any], int]]]
_Answer = Callable[[web.Request, Account, Asked, str], Awaitable[web.StreamResponse]]


async def _knock(request: web.Request) -> web.Response:
    return web.Response()


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": code, "param": None, "code": code}}, status=status)


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise _OffenceError(message)


def _known(fields: dict[str, Any], required: set[str], optional: set[str]) -> None:
    _demand(required <= fields.keys(), f"missing: {sorted(required - fields.keys())}")
    unknown = fields.keys() - required - optional
    _demand(not unknown, f"unrecognized request argument supplied: {sorted(unknown)}")


async def _fail(request: web.Request, how: str) -> web.StreamResponse | None:
    """The faults that look the same for every stage; None for those that do not."""
    if how == SLOW:
        await asyncio.sleep(_SLOW_S)
    elif how == LATE:
        await asyncio.sleep(_LATE_S)
    elif how == GONE:
        return _error(404, "model_not_found", "The model does not exist or you do not have access to it.")
    elif how == BROKEN:
        return _error(500, "server_error", "The server had an error while processing your request.")
    return None


def _abort(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


# --- /audio/transcriptions ------------------------------------------------------------------------------------------


async def _read_audio(request: web.Request) -> tuple[dict[str, Any], int]:
    _demand(request.content_type == "multipart/form-data", f"content type {request.content_type}")
    form = await request.post()
    fields = dict(form)
    _known(fields, {"file", "model"}, {"language", "prompt", "response_format", "temperature"})
    file = fields.pop("file")
    _demand(isinstance(file, web.FileField), "file is not a file")
    data = file.file.read()
    try:
        with wave.open(io.BytesIO(data)) as audio:
            shape = (audio.getnchannels(), audio.getsampwidth(), audio.getframerate())
            frames = audio.getnframes()
    except (wave.Error, EOFError) as error:
        raise _OffenceError(f"file is no WAV: {error}") from error
    _demand(shape[:2] == (1, 2) and 8_000 <= shape[2] <= 48_000, f"file is {shape}")
    _demand(frames / shape[2] >= 0.1, "audio file is too short, the minimum is 0.1 seconds")
    _demand(bool(fields["model"]), "model is empty")
    language = fields.get("language")
    _demand(language is None or bool(_ISO_639_1.fullmatch(str(language))), f"language {language!r} is not ISO 639-1")
    _demand(fields.get("response_format", "json") in ("json", "text", "verbose_json"), "response_format")
    return {**fields, "audio_ms": round(1000 * frames / shape[2])}, len(data)


async def _transcribe(request: web.Request, account: Account, asked: Asked, how: str) -> web.StreamResponse:
    text = account.heard.pop(0) if account.heard else ""
    failed = await _fail(request, how)
    if failed is not None:
        return failed
    if how == GARBAGE:
        return web.Response(text="<html>nginx</html>", content_type="text/html")
    body = json.dumps({"text": text}).encode()
    if how != CUT:
        return web.Response(body=body, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body) + 64)})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _abort(request)
    return response


# --- /chat/completions ----------------------------------------------------------------------------------------------


async def _read_chat(request: web.Request) -> tuple[dict[str, Any], int]:
    data = await request.read()
    body = _json(data)
    _known(body, {"model", "messages"}, {"stream", "stream_options", "temperature", "max_tokens"})
    messages = body["messages"]
    _demand(isinstance(messages, list) and bool(messages), "messages is empty")
    for message in messages:
        _demand(sorted(message) == ["content", "role"] and bool(message["content"]), f"message {sorted(message)}")
        _demand(message["role"] in ("system", "user", "assistant"), f"role {message['role']}")
    _demand(messages[0]["role"] == "system", "the first message is not the system's")
    _demand(any(message["role"] == "user" for message in messages), "nobody has said anything")
    _demand(body.get("stream") is True, "this server only streams")
    return body, len(data)


async def _chat(request: web.Request, account: Account, asked: Asked, how: str) -> web.StreamResponse:
    reply = account.replies.pop(0) if len(account.replies) > 1 else account.replies[0]
    failed = await _fail(request, how)
    if failed is not None:
        return failed
    whole = reply if isinstance(reply, dict) else {"response": reply, "action": "continue", "variables": {}}
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    if how == GARBAGE:
        await response.write(b"data: {not json at all\n\ndata: [DONE]\n\n")
        return response
    pieces = re.findall(r".{1,7}", json.dumps(whole, ensure_ascii=False))
    for piece in pieces if how != CUT else pieces[: len(pieces) // 2]:
        await response.write(_event(asked.model, {"content": piece}, None))
        await asyncio.sleep(0.002)
    if how == CUT:
        _abort(request)
        return response
    await response.write(_event(asked.model, {}, "stop"))
    if (asked.fields.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": asked.size // 4, "completion_tokens": len(pieces), "total_tokens": 0}
        await response.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


def _event(model: str, delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [choice]}
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


def _json(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise _OffenceError(f"the body is not JSON: {error}") from error
    _demand(isinstance(body, dict), "the body is not an object")
    return dict(body)


# --- /audio/speech --------------------------------------------------------------------------------------------------


async def _read_speech(request: web.Request) -> tuple[dict[str, Any], int]:
    data = await request.read()
    body = _json(data)
    _known(body, {"model", "input", "voice"}, {"response_format", "speed"})
    _demand(isinstance(body["input"], str) and 0 < len(body["input"].strip()) <= 4096, "input")
    _demand(isinstance(body["voice"], str) and bool(body["voice"]), "voice is empty")
    _demand(body.get("response_format") == "pcm", "this server only makes pcm")
    return body, len(data)


async def _speak(request: web.Request, account: Account, asked: Asked, how: str) -> web.StreamResponse:
    failed = await _fail(request, how)
    if failed is not None:
        return failed
    if how == GARBAGE:
        return web.json_response({"audio": "none"})
    audio = account.sounds.get(str(asked.fields["input"]), Sound()).pcm16()
    response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
    await response.prepare(request)
    end = len(audio) if how != CUT else len(audio) // 3
    for start in range(0, end, 4801):  # odd: a sample may be split between two pieces
        await response.write(audio[start : min(start + 4801, end)])
        await asyncio.sleep(0.002)
    if how == CUT:
        _abort(request)
    return response


@asynccontextmanager
async def serve(ports: range, accounts: dict[str, Account] | None = None) -> AsyncIterator[Double]:
    """Serve on a free port of ``ports``, and keep another one on which nobody listens."""
    closed, closed_port = _bound(ports, listen=False)
    server, port = _bound(ports, listen=True)
    double = Double(port, closed_port, accounts)
    await double.start(server)
    try:
        yield double
    finally:
        await double.stop()
        closed.close()


def _bound(ports: range, *, listen: bool) -> tuple[socket.socket, int]:
    """A TCP socket on a port of ours. Bound but not listening it refuses connections, and nobody else gets it."""
    for port in ports:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.bind(("127.0.0.1", port))
        except OSError:
            made.close()
            continue
        if listen:
            made.listen(128)
        return made, port
    raise OSError(f"no free port in {ports}")

"""A strict OpenAI-compatible server on loopback, scripted by the test. It knows nothing of the client's code."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

KEY = "sk-test-canary-7"


@dataclass
class Script:
    """What the server does next, and what it has seen."""

    #: Raw bytes of the SSE body, piece by piece; a float is a pause in seconds, None cuts the connection.
    chat: list[bytes | float | None] = field(default_factory=list)
    chat_status: int = 200
    chat_error: dict[str, Any] = field(default_factory=dict)
    refuse_stream_options: bool = False
    text: str = "hello there"
    #: Texts in the order of the requests, by model name; goes before ``text``.
    texts: dict[str, list[str]] = field(default_factory=dict)
    stt_status: int = 200
    stt_body: bytes | None = None
    stt_delay: float = 0.0
    tts_ms: int = 500
    tts_cut_after: int | None = None
    tts_status: int = 200
    tts_delay: float = 0.0
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""


def sse(*pieces: str, done: bool = True) -> list[bytes | float | None]:
    """A plain stream of content pieces."""
    events: list[bytes | float | None] = [
        f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': piece}}]})}\n\n".encode() for piece in pieces
    ]
    if done:
        events.append(b"data: [DONE]\n\n")
    return events


def tone(ms: int, hz: float, rate: int = 24_000) -> bytes:
    """PCM16 of a sine."""
    time = np.arange(rate * ms // 1000) / rate
    return (8000 * np.sin(2 * np.pi * hz * time)).astype("<i2").tobytes()


def _authorised(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    async def checked(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "bad key", "code": "invalid_api_key"}}, status=401)
        return await handler(request)

    return checked


class Server:
    """The three endpoints."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.script.seen.append(("chat", body))
        assert request.headers["Content-Type"].startswith("application/json")
        assert body["stream"] is True
        assert [sorted(message) for message in body["messages"]] == [["content", "role"]] * len(body["messages"])
        if self.script.refuse_stream_options and "stream_options" in body:
            return web.json_response({"error": {"message": "unknown field stream_options"}}, status=400)
        if self.script.chat_status != 200:
            return web.json_response({"error": self.script.chat_error}, status=self.script.chat_status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for piece in self.script.chat:
                if piece is None:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    await response.write(piece)
        except (ConnectionError, asyncio.CancelledError):
            self.script.closed.set()
            raise
        return response

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        assert file.filename.endswith(".wav")
        with wave.open(io.BytesIO(file.file.read())) as audio:
            shape = (audio.getnchannels(), audio.getsampwidth(), audio.getframerate())
            pcm = audio.readframes(audio.getnframes())
        fields = {name: value for name, value in form.items() if name != "file"}
        self.script.seen.append(("stt", {**fields, "shape": shape, "pcm": pcm}))
        await asyncio.sleep(self.script.stt_delay)
        if self.script.stt_body is not None or self.script.stt_status != 200:
            return web.Response(body=self.script.stt_body or b"{}", status=self.script.stt_status)
        texts = self.script.texts.get(str(fields["model"]))
        return web.json_response({"text": f" {texts.pop(0) if texts else self.script.text} "})

    async def speak(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.script.seen.append(("tts", body))
        assert sorted(body) == ["input", "model", "response_format", "voice"]
        assert body["response_format"] == "pcm"
        await asyncio.sleep(self.script.tts_delay)
        if self.script.tts_status != 200:
            return web.json_response({"error": {"code": "voice_not_found"}}, status=self.script.tts_status)
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        audio = tone(self.script.tts_ms, 400)
        # Odd pieces: a sample may be split between two of them.
        for start in range(0, len(audio), 4097):
            if self.script.tts_cut_after is not None and start >= self.script.tts_cut_after:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(audio[start : start + 4097])
        return response


@asynccontextmanager
async def serve(port: int) -> AsyncIterator[Script]:
    """Serve on ``127.0.0.1:port``; gives the script."""
    script = Script(url=f"http://127.0.0.1:{port}/v1")
    server = Server(script)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _authorised(server.chat))
    app.router.add_post("/v1/audio/transcriptions", _authorised(server.transcribe))
    app.router.add_post("/v1/audio/speech", _authorised(server.speak))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield script
    finally:
        await runner.cleanup()
